"""What a board of prices shows of a symbol: the last price, what it is compared with, and how old it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.market.bars import interval_length
from stock_assets.market.calendars import is_open, last_closed, session_at
from stock_assets.pipeline.freshness import Freshness, FreshnessStatus

Series = tuple[str, str]  # symbol, interval

_POINTS = 24  # of a sparkline
_DAYS_OF_DAILY_BARS = 36  # calendar days that hold as many sessions as a sparkline has points


@dataclass(frozen=True, slots=True)
class DisplayPeriod:
    """The time that a row covers; everything in UTC.

    The range is that of bars that start from `begin` on; the price before is the last of those before `before`. The
    sparkline has a point every `every` from `drawn_from` on.
    """

    begin: datetime
    before: datetime
    drawn_from: datetime
    every: timedelta


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade as it happened: a price in the currency of the listing, at a time in UTC."""

    at: datetime
    price: float


@dataclass(frozen=True, slots=True)
class PeriodPrices:
    """What is stored of a series in its period; None and empty where nothing is."""

    open: float | None = None
    high: float | None = None
    low: float | None = None
    last: float | None = None
    previous: float | None = None  # the last close before the period
    closes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A symbol on the board. Prices are in the currency of the listing, `change_percent` in percent."""

    symbol: str
    interval: str
    last: float | None
    last_at: datetime | None  # the bar's start, or the time of the trade
    change: float | None
    change_percent: float | None
    low: float | None
    high: float | None
    closes: tuple[float, ...]
    age: timedelta | None  # since the bar's end or the trade, by the board's clock
    late_by: timedelta
    status: FreshnessStatus
    market_is_open: bool


def shown_series(newest: Mapping[Series, datetime], symbols: Iterable[str]) -> list[Series]:
    """Return the series of each symbol that has the newest bar; of two with the same, the one with the shorter bars."""
    chosen = []
    for symbol in symbols:
        found = [(at, -_seconds(series[1]), series) for series, at in newest.items() if series[0] == symbol]
        chosen += [max(found)[2]] if found else []
    return chosen


def display_period(exchange: str, interval: str, newest: datetime) -> DisplayPeriod:
    """Return the session of the newest price; from the close on, the time since then, compared with the close."""
    session = session_at(exchange, newest)
    if newest < session.closed:
        begin, end, before = session.opened, session.closed, last_closed(exchange, session.opened).closed
    else:
        begin, end, before = session.closed, session.closed + timedelta(hours=16), session.closed
    if interval_length(interval) is None:
        return DisplayPeriod(begin, before, newest - timedelta(days=_DAYS_OF_DAILY_BARS), timedelta(days=1))
    return DisplayPeriod(begin, before, begin, (end - begin) / _POINTS)


def bar_end(exchange: str, interval: str, start: datetime) -> datetime:
    """Return when the bar that starts at `start` ends; a daily one ends at its session's close."""
    length = interval_length(interval)
    return start + length if length else session_at(exchange, start).closed


def board_row(exchange: str, freshness: Freshness, day: PeriodPrices, trade: Trade | None, clock: datetime) -> BoardRow:
    """Put a row together; a trade counts where it is newer than the newest bar."""
    last, last_at = day.last, freshness.newest
    known_at = bar_end(exchange, freshness.interval, freshness.newest) if freshness.newest else None
    if trade is not None and (known_at is None or trade.at >= known_at):
        last, last_at, known_at = trade.price, trade.at, trade.at
    base = day.previous if day.previous is not None else day.open
    change = last - base if last is not None and base is not None else None
    seen = [price for price in (day.low, day.high, last) if price is not None]
    return BoardRow(
        symbol=freshness.symbol,
        interval=freshness.interval,
        last=last,
        last_at=last_at,
        change=change,
        change_percent=change / base * 100 if change is not None and base else None,
        low=min(seen, default=None),
        high=max(seen, default=None),
        closes=day.closes,
        age=max(clock - known_at, timedelta(0)) if known_at else None,
        late_by=freshness.late_by,
        status=freshness.status,
        market_is_open=is_open(exchange, clock),
    )


def sparkline(values: Sequence[float], width: int) -> str:
    """Return the newest `width` values as a line of blocks, scaled from the lowest to the highest."""
    blocks = "▁▂▃▄▅▆▇█"
    shown = values[-width:] if width > 0 else ()
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    return "".join(blocks[round((value - low) / span * 7) if span else 3] for value in shown)


def _seconds(interval: str) -> float:
    length = interval_length(interval)
    return length.total_seconds() if length else float("inf")
