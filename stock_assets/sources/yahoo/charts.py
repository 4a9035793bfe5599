"""Bars, splits and dividends from the data frame that yfinance makes of Yahoo's chart. Pure."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd

from stock_assets.market.adjustment import ActionKind, CorporateAction
from stock_assets.market.bars import Bar, interval_length
from stock_assets.market.calendars import session_on
from stock_assets.market.symbols import exchange_of
from stock_assets.pipeline.fetch_planner import BarRequest
from stock_assets.sources.yahoo.errors import storable_text

log = logging.getLogger("ingest")

_CLOSE_DIGITS = 10  # significant ones: a coin may cost 0.00000857


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, adjusted for splits only, and the splits and dividends of the same time, in today's shares.

    `left_out` describes the splits and dividends that are not usable.
    """

    bars: list[Bar]
    actions: list[CorporateAction]
    left_out: tuple[str, ...] = ()


def chart_from_frame(frame: pd.DataFrame, request: BarRequest, currency: object) -> Chart:
    """Return the chart in `Ticker.history`'s frame; rows without a price are left out.

    Raises:
        Exception: of any type, where a value has the wrong type.
    """
    bars = sorted(_bars(frame, request), key=lambda bar: bar.start)
    actions = list(_actions(frame, request.symbol, storable_text(currency) if isinstance(currency, str) else None))
    return Chart(bars, actions)


def _bars(frame: pd.DataFrame, request: BarRequest) -> Iterator[Bar]:
    columns = [frame[name].tolist() for name in ("Open", "High", "Low", "Close", "Volume")]
    for at, opened, high, low, close, volume in zip(pd.DatetimeIndex(frame.index), *columns, strict=True):
        start = _start(at, request)
        if start is None or not request.begin <= start < request.end:
            continue
        if not all(math.isfinite(price) for price in (opened, high, low, close)):
            continue
        shares = int(volume) if math.isfinite(volume) else 0
        yield Bar(request.symbol, request.interval, start, opened, high, low, close, shares)


def _start(at: pd.Timestamp, request: BarRequest) -> datetime | None:
    """The start of a bar in UTC. A daily bar, which has its date only, starts at its session's open; None on a day
    without a session."""
    if interval_length(request.interval) is not None:
        return at.to_pydatetime().astimezone(UTC)
    try:
        return session_on(exchange_of(request.symbol), at.date()).opened
    except ValueError as error:
        log.warning("%s: Yahoo has a daily bar where %s; left out", request.symbol, error)
        return None


def _actions(frame: pd.DataFrame, symbol: str, currency: str | None) -> Iterator[CorporateAction]:
    """The splits and dividends: yfinance puts each into the first row of its day, in the exchange's time zone."""
    for column, kind in (("Stock Splits", ActionKind.SPLIT), ("Dividends", ActionKind.DIVIDEND)):
        if column not in frame or frame.empty:
            continue
        for at, value in frame.loc[frame[column] > 0, column].items():
            day = pd.Timestamp(str(at)).date()
            of_dividend = currency if kind is ActionKind.DIVIDEND else None
            yield CorporateAction(symbol, day, kind, Decimal(str(value)), of_dividend, _close_before(frame, day))


def _close_before(frame: pd.DataFrame, day: date) -> Decimal | None:
    closes = frame.loc[pd.DatetimeIndex(frame.index).date < day, "Close"].dropna()
    close = float(closes.iloc[-1]) if not closes.empty else math.nan
    return Decimal(f"{close:.{_CLOSE_DIGITS}g}") if math.isfinite(close) and close > 0 else None
