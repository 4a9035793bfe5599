"""Facts about a company from the dictionary that yfinance makes of Yahoo's answer. Pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from stock_assets.market.calendars import date_at
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.symbols import exchange_of
from stock_assets.sources.yahoo.errors import storable_text

# Column -> Yahoo's name of the fact.
_TEXTS = {
    "shortname": "shortName",
    "longname": "longName",
    "industry": "industry",
    "sector": "sector",
    "currency": "currency",
    "exchange": "exchange",
    "country": "country",
    "website": "website",
}
_WHOLE_NUMBERS = {"marketcap": "marketCap", "employees": "fullTimeEmployees"}
_NUMBERS = {
    "forwardpe": "forwardPE",
    "trailingpe": "trailingPE",
    "fiftytwoweekhigh": "fiftyTwoWeekHigh",
    "fiftytwoweeklow": "fiftyTwoWeekLow",
    "fiftydayaverage": "fiftyDayAverage",
    "shortratio": "shortRatio",
    "beta": "beta",
    # "dividendYield" is a fraction in one of Yahoo's answers and in percent in the other; this one is a fraction.
    "dividendyield": "trailingAnnualDividendYield",
}
# The next earnings date is between the first two; the third is the time of the last published earnings.
_EARNINGS = ("earningsTimestampStart", "earningsTimestampEnd", "earningsTimestamp")
_LARGEST_INTEGER = 2**63 - 1  # in a column of type bigint
_MOST_DIGITS = 50  # before or after the decimal point; PostgreSQL rejects an exponent of six digits


def company_from_info(symbol: str, facts: Mapping[str, Any], now: datetime) -> CompanyInfo:
    """Return the facts of `Ticker.info` as of the exchange's date at `now`; None where Yahoo has no usable value."""
    exchange = exchange_of(symbol)
    today = date_at(exchange, now)
    columns: dict[str, Any] = {column: _text(facts.get(name)) for column, name in _TEXTS.items()}
    columns |= {column: _number(facts.get(name)) for column, name in _NUMBERS.items()}
    columns |= {column: _whole_number(facts.get(name)) for column, name in _WHOLE_NUMBERS.items()}
    earnings = [day for name in _EARNINGS if (day := _day(exchange, facts.get(name))) is not None and day >= today]
    return CompanyInfo(today, symbol, **columns, nextearnings=min(earnings, default=None))


def _text(value: object) -> str | None:
    return storable_text(value) or None if isinstance(value, str) else None


def _number(value: object) -> Decimal | None:
    """A number that can be stored: Yahoo writes "Infinity" for a price divided by earnings of zero."""
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _MOST_DIGITS else None


def _whole_number(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and abs(number) <= _LARGEST_INTEGER else None


def _day(exchange: str, seconds: object) -> date | None:
    """The exchange's date at a time in seconds since 1970."""
    number = _number(seconds)
    if number is None:
        return None
    try:
        return date_at(exchange, datetime.fromtimestamp(int(number), UTC))
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return None
