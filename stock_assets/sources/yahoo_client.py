"""What Yahoo answers, through yfinance: each way in which it refuses is told apart."""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import yfinance as yf
from yfinance.cache import get_tz_cache
from yfinance.const import _QUERY1_URL_
from yfinance.data import YfData
from yfinance.exceptions import YFException, YFPricesMissingError, YFRateLimitError, YFTzMissingError

from stock_assets.market.bars import Bar, CompanyInfo, interval_length
from stock_assets.market.cadence import Request
from stock_assets.market.calendars import date_at, exchange_of, session_on, timezone_of
from stock_assets.market.coverage import UNKNOWN_SYMBOL
from stock_assets.sources.protocol import SourceError

log = logging.getLogger("ingest")

TIMEOUT_SECONDS = 20
_QUOTE_ADDRESS = f"{_QUERY1_URL_}/v7/finance/quote"
# Our column -> Yahoo's name of the fact.
_FACTS = {
    "shortname": "shortName",
    "longname": "longName",
    "industry": "industry",
    "sector": "sector",
    "currency": "currency",
    "exchange": "exchange",
    "marketcap": "marketCap",
    "forwardpe": "forwardPE",
    "trailingpe": "trailingPE",
    "fiftytwoweekhigh": "fiftyTwoWeekHigh",
    "fiftytwoweeklow": "fiftyTwoWeekLow",
    "fiftydayaverage": "fiftyDayAverage",
    "shortratio": "shortRatio",
}
_TEXTS = {"shortname", "longname", "industry", "sector", "currency", "exchange"}


def cache_of(home: Path) -> Path:
    """Where yfinance keeps cookies and time zones."""
    return home / "cache" / "yfinance"


class YahooError(SourceError):
    """Yahoo gave no usable answer; `kind` is what it is counted as."""

    kind = "broken answer"


class RateLimitedError(YahooError):
    """Yahoo wants us to ask less: all symbols wait."""

    kind = "rate limited"


class UnknownSymbolError(YahooError):
    """Yahoo knows no such symbol, or no longer."""

    kind = UNKNOWN_SYMBOL


class EmptyAnswerError(YahooError):
    """Yahoo knows the symbol, and has nothing of a time in which there must have been something."""

    kind = "empty answer"


class YahooClient:
    """Asks Yahoo; keeps its cookie, crumb and connections for as long as it lives."""

    def __init__(self, cache: Path, session: object | None = None) -> None:
        """`cache` is yfinance's folder for cookies and time zones; `session` a curl_cffi session of one's own."""
        cache.mkdir(parents=True, exist_ok=True)
        yf.set_tz_cache_location(str(cache))
        yf.config.debug.hide_exceptions = False  # else a refusal looks like an empty answer
        self._session = session

    def bars(self, request: Request) -> list[Bar]:
        """The bars of a request, as Yahoo has them: unadjusted, rows without a price left out.

        Raises:
            YahooError: and its kinds.
        """
        # The calendar knows the time zone: one request less for each new symbol.
        get_tz_cache().store(request.symbol, timezone_of(exchange_of(request.symbol)))
        # yfinance remembers answers about the past within a process; ours lives for days.
        YfData.cache_get.cache_clear()
        ticker = self._ticker(request.symbol)
        try:
            frame = ticker.history(
                start=request.begin,
                end=request.end,
                interval=request.interval,
                auto_adjust=False,
                prepost=False,
                timeout=TIMEOUT_SECONDS,
            )
            return _bars(frame, request)
        except YFPricesMissingError as error:
            if error.yahoo_reason is not None and "Data doesn't exist" not in error.yahoo_reason:
                raise _of_reason(error.yahoo_reason, request.symbol) from error
            # An answer about the symbol that holds no bars names the symbol; a refused crumb doesn't.
            if error.yahoo_reason is None and "symbol" not in ticker.get_history_metadata():
                raise YahooError(f"{request.symbol}: an answer without a chart") from error
            return []
        except Exception as error:
            raise _told_apart(error, request.symbol) from error

    def company(self, symbol: str, now: datetime) -> CompanyInfo:
        """What Yahoo knows of a company, as of its exchange's date at `now`.

        Raises:
            YahooError: and its kinds.
        """
        try:
            facts = self._ticker(symbol).info
        except Exception as error:
            raise _told_apart(error, symbol) from error
        if not facts or facts.get("quoteType") in (None, "NONE"):
            raise UnknownSymbolError(f"Yahoo knows no symbol {symbol}; look it up on finance.yahoo.com")
        return CompanyInfo(date_at(exchange_of(symbol), now), symbol, **_facts(facts))

    def quotes(self, symbols: Sequence[str]) -> list[dict[str, Any]]:
        """Yahoo's newest rows about the symbols, in one request; what it doesn't know is left out.

        Raises:
            YahooError: and its kinds.
        """
        asked = {"symbols": ",".join(symbols), "formatted": "false"}
        try:
            data = YfData(session=self._session)
            answer = data.get_raw_json(_QUOTE_ADDRESS, params=asked, timeout=TIMEOUT_SECONDS)
            return list(answer["quoteResponse"]["result"])
        except Exception as error:
            raise _told_apart(error, ", ".join(symbols)) from error

    def nearest(self, symbol: str) -> list[tuple[str, str]]:
        """Symbols that exist and are like this one, with their names; itself first, where it exists.

        Raises:
            YahooError: and its kinds.
        """
        try:
            found = yf.Search(symbol, max_results=8, news_count=0, lists_count=0, session=self._session).quotes
        except Exception as error:
            raise _told_apart(error, symbol) from error
        pairs = [(str(quote["symbol"]), str(quote.get("shortname", ""))) for quote in found if "symbol" in quote]
        return sorted(pairs, key=lambda pair: pair[0] != symbol)

    def _ticker(self, symbol: str) -> yf.Ticker:
        return yf.Ticker(symbol, session=self._session)


def _bars(frame: pd.DataFrame, request: Request) -> list[Bar]:
    bars = []
    columns = [frame[name].tolist() for name in ("Open", "High", "Low", "Close", "Volume")]
    for at, opened, high, low, close, volume in zip(pd.DatetimeIndex(frame.index), *columns, strict=True):
        start = _start(at, request)
        if (
            start is None
            or any(math.isnan(price) for price in (opened, high, low, close))
            or not request.begin <= start < request.end
        ):
            continue
        whole = 0 if math.isnan(volume) else int(volume)
        bars.append(Bar(request.symbol, request.interval, start, opened, high, low, close, whole))
    return bars


def _start(at: pd.Timestamp, request: Request) -> datetime | None:
    """A daily bar comes with its date at midnight; it starts at its session's open. None on a day without one."""
    if interval_length(request.interval) is not None:
        return at.to_pydatetime().astimezone(UTC)
    try:
        return session_on(exchange_of(request.symbol), at.date()).opened
    except ValueError as error:
        log.warning("%s: Yahoo has a daily bar where %s; left out", request.symbol, error)
        return None


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    found = {ours: facts.get(yahoos) for ours, yahoos in _FACTS.items()}
    for name, value in found.items():
        if value is not None and name not in _TEXTS:
            found[name] = _number(value)
    if found["marketcap"] is not None:
        found["marketcap"] = int(found["marketcap"])
    return found


def _number(value: object) -> Decimal | None:
    """Yahoo writes "Infinity" where a price is divided by earnings of zero."""
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _told_apart(error: Exception, symbol: str) -> YahooError:
    if isinstance(error, RateLimitedError | YFRateLimitError):
        return RateLimitedError("Yahoo wants to be asked less (429)")
    if isinstance(error, YFTzMissingError) or getattr(getattr(error, "response", None), "status_code", None) == 404:
        return UnknownSymbolError(f"Yahoo knows no symbol {symbol}; look it up on finance.yahoo.com")
    if isinstance(error, YFException | ValueError | KeyError | TypeError | OSError):
        return YahooError(f"{symbol}: {type(error).__name__}: {error}")
    return YahooError(f"{symbol}: unexpected {type(error).__name__}: {error}")


def _of_reason(reason: str, symbol: str) -> YahooError:
    if "delisted" in reason or "not found" in reason.lower() or "No data found" in reason:
        return UnknownSymbolError(f"Yahoo knows no symbol {symbol}, or no longer: {reason}")
    return YahooError(f"{symbol}: {reason}")
