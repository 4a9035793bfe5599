"""Which bars to ask the source for, and when to ask next: from coverage, calendars and a clock. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.market.bars import interval_length
from stock_assets.market.calendars import last_closed, next_session, session_at
from stock_assets.market.symbols import ALWAYS_OPEN, delay_of, exchange_of
from stock_assets.market.trading_hours import (
    has_extended_hours,
    next_trading_interval,
    trading_day_at,
    trading_interval_at,
)
from stock_assets.pipeline.coverage import Coverage, covers_extended_hours
from stock_assets.pipeline.freshness import newest_final_bar

# A bar that the source doesn't have so long after it was final isn't coming, and one that it has stays as it is: until
# then bars are asked for again with the new ones.
CORRECTION_PERIOD = timedelta(minutes=10)


def overlap_of(interval: str) -> timedelta:
    """Return how long before the end of the coverage a request begins: the source may have corrected bars there."""
    return max(CORRECTION_PERIOD, 2 * (interval_length(interval) or timedelta(days=1)))


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """How far back a source gives bars of an interval, and how much of it in one answer."""

    history: timedelta
    per_request: timedelta


@dataclass(frozen=True, slots=True)
class BarRequest:
    """Ask for the bars that start from `begin` to before `end`, in UTC.

    `target` is the start of the newest bar that must be there by now. `unavailable_since` is the start of the missing
    time for which the source no longer gives bars; None where nothing is missing.
    """

    symbol: str
    interval: str
    begin: datetime
    end: datetime
    target: datetime
    unavailable_since: datetime | None = None
    extended: bool = False  # bars before the open and after the close, too
    adds_hours: bool = False  # they were not asked for before: the answer has older bars, too


def plan_requests(
    symbols: Sequence[str],
    interval: str,
    limits: SourceLimits,
    first_history: timedelta,
    delay: timedelta,
    coverage: Mapping[str, Coverage],
    now: datetime,
    *,
    extended: bool = False,
) -> list[BarRequest]:
    """One request for each symbol that misses a final bar and is due; the longest wait first.

    Args:
        symbols: the watchlist.
        interval: of the bars, as `2m`.
        limits: what the source has of it.
        first_history: how far back a symbol begins that was never asked for.
        delay: what the source adds to a bar's end before it is final; the exchange's own delay comes on top.
        coverage: symbol -> its row for this interval.
        now: aware.
        extended: whether bars before the open and after the close are wanted, too.
    """
    due = [
        request
        for symbol in symbols
        if (request := _request(symbol, interval, limits, first_history, delay, coverage.get(symbol), now, extended))
        is not None
    ]
    return sorted(due, key=lambda request: (request.target, request.begin))


def _request(
    symbol: str,
    interval: str,
    limits: SourceLimits,
    first_history: timedelta,
    delay: timedelta,
    covered: Coverage | None,
    now: datetime,
    extended: bool,
) -> BarRequest | None:
    if covered is not None and covered.next_due is not None and covered.next_due > now:
        return None
    exchange, length = exchange_of(symbol), interval_length(interval) or timedelta(days=1)
    target = newest_final_bar(exchange, interval, delay + delay_of(exchange), now, extended=extended)
    oldest = now - limits.history + length  # the oldest bar may be unavailable once the request arrives
    first = max(trading_day_at(exchange, now - first_history, extended=extended).opened, oldest)
    unavailable_since, adds_hours = None, False
    if covered is None:
        begin = first
    else:
        missing_from = covered.covered_until + length
        traded_until = trading_interval_at(exchange, oldest, extended=extended).closed
        unavailable_since = missing_from if missing_from < oldest and traded_until > missing_from else None
        begin = max(covered.covered_until - overlap_of(interval), oldest)
        adds_hours = extended and has_extended_hours(exchange) and not covers_extended_hours(covered)
        begin = min(begin, first) if adds_hours else begin
    if target < begin:
        return None
    end = min(target + length, begin + limits.per_request)
    return BarRequest(symbol, interval, begin, end, target, unavailable_since, extended, adds_hours)


def is_final(
    exchange: str, interval: str, delay: timedelta, start: datetime, now: datetime, *, extended: bool = False
) -> bool:
    """Return whether the bar that starts at `start` is over at `now`, wherever the source lets its bars begin."""
    length = interval_length(interval)
    if length is None:
        return session_at(exchange, start).closed + delay + delay_of(exchange) <= now
    end, stretch = start + length, trading_interval_at(exchange, start, extended=extended)
    if start < stretch.closed:
        end = min(end, stretch.closed)
    return end + delay + delay_of(exchange) <= now


def next_final_time(
    exchange: str, interval: str, delay: timedelta, after: datetime, *, extended: bool = False
) -> datetime:
    """Return when the next bar after the newest final one at `after` will be final, by the exchange's calendar.

    `delay` is what the source adds; the exchange's own delay comes on top.
    """
    delay += delay_of(exchange)
    moment, length = after - delay, interval_length(interval)
    if exchange == ALWAYS_OPEN or length is None:
        newest = newest_final_bar(exchange, interval, delay, after)
        if exchange == ALWAYS_OPEN:
            return newest + 2 * (length or timedelta(days=1)) + delay
        return next_session(exchange, last_closed(exchange, moment).opened).closed + delay
    stretch = trading_interval_at(exchange, moment, extended=extended)
    if moment < stretch.closed:
        ended = stretch.opened + ((moment - stretch.opened) // length + 1) * length
        return min(ended, stretch.closed) + delay
    following = next_trading_interval(exchange, stretch.opened, extended=extended)
    return min(following.opened + length, following.closed) + delay
