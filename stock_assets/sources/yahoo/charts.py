"""What is in yfinance's answers: its data frames and dictionaries, as our values. Pure."""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from stock_assets.market.adjustment import ActionKind, CorporateAction
from stock_assets.market.bars import Bar, interval_length
from stock_assets.market.calendars import date_at, session_on
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.symbols import exchange_of
from stock_assets.pipeline.fetch_planner import BarRequest

log = logging.getLogger("ingest")

# Our column -> Yahoo's name of the fact.
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
_WHOLE = {"marketcap": "marketCap", "employees": "fullTimeEmployees"}
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
# The next quarter's figures come on a day between the first two; the third is that of the last ones, once they are out.
_EARNINGS = ("earningsTimestampStart", "earningsTimestampEnd", "earningsTimestamp")


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, unadjusted but for splits, and what happened to the share meanwhile, in shares of today."""

    bars: list[Bar]
    actions: list[CorporateAction]


def chart_from_frame(frame: pd.DataFrame, request: BarRequest, currency: str | None) -> Chart:
    """The bars and actions of `Ticker.history`; rows without a price are left out."""
    return Chart(list(_bars(frame, request)), list(_actions(frame, request.symbol, currency)))


def _bars(frame: pd.DataFrame, request: BarRequest) -> Iterator[Bar]:
    columns = [frame[name].tolist() for name in ("Open", "High", "Low", "Close", "Volume")]
    for at, opened, high, low, close, volume in zip(pd.DatetimeIndex(frame.index), *columns, strict=True):
        start = _start(at, request)
        if start is None or not request.begin <= start < request.end:
            continue
        if any(math.isnan(price) for price in (opened, high, low, close)):
            continue
        whole = 0 if math.isnan(volume) else int(volume)
        yield Bar(request.symbol, request.interval, start, opened, high, low, close, whole)


def _start(at: pd.Timestamp, request: BarRequest) -> datetime | None:
    """A daily bar comes with its date at midnight; it starts at its session's open. None on a day without one."""
    if interval_length(request.interval) is not None:
        return at.to_pydatetime().astimezone(UTC)
    try:
        return session_on(exchange_of(request.symbol), at.date()).opened
    except ValueError as error:
        log.warning("%s: Yahoo has a daily bar where %s; left out", request.symbol, error)
        return None


def _actions(frame: pd.DataFrame, symbol: str, currency: str | None) -> Iterator[CorporateAction]:
    """yfinance lays an event beside the first row of its day; the frame is in the exchange's time."""
    for column, kind in (("Stock Splits", ActionKind.SPLIT), ("Dividends", ActionKind.DIVIDEND)):
        if column not in frame or frame.empty:
            continue
        for at, value in frame.loc[frame[column] > 0, column].items():
            day = pd.Timestamp(str(at)).date()
            of = currency if kind is ActionKind.DIVIDEND else None
            yield CorporateAction(symbol, day, kind, Decimal(str(value)), of, _close_before(frame, day))


def _close_before(frame: pd.DataFrame, day: date) -> Decimal | None:
    before = frame.loc[pd.DatetimeIndex(frame.index).date < day, "Close"].dropna()
    return None if before.empty else Decimal(str(round(float(before.iloc[-1]), 6)))


def company_from_info(symbol: str, facts: Mapping[str, Any], now: datetime) -> CompanyInfo:
    """The facts of `Ticker.info`, as of the exchange's date at `now`; None where Yahoo has none."""
    exchange = exchange_of(symbol)
    today = date_at(exchange, now)
    found: dict[str, Any] = {ours: facts.get(yahoos) or None for ours, yahoos in _TEXTS.items()}
    found |= {ours: _number(facts.get(yahoos)) for ours, yahoos in _NUMBERS.items()}
    found |= {ours: None if (n := _number(facts.get(yahoos))) is None else int(n) for ours, yahoos in _WHOLE.items()}
    earnings = [date_at(exchange, moment) for name in _EARNINGS if (moment := _moment(facts.get(name))) is not None]
    return CompanyInfo(
        today, symbol, **found, nextearnings=min((day for day in earnings if day >= today), default=None)
    )


def _number(value: object) -> Decimal | None:
    """Yahoo writes "Infinity" where a price is divided by earnings of zero."""
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _moment(seconds: object) -> datetime | None:
    number = _number(seconds)
    return None if number is None else datetime.fromtimestamp(int(number), UTC)
