"""Selects series and time ranges from what a user typed and what is stored."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from infra.host.errors import Exit, StackError
from infra.views.prices import require_stored
from stock_assets.market.bars import interval_length
from stock_assets.market.calendars import timezone_of
from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.pipeline.quote_board import Series

StoredRanges = Mapping[Series, tuple[datetime, datetime]]


def exchange_zone(exchange: str) -> ZoneInfo:
    """Return the time zone of the exchange; UTC where it never closes."""
    return ZoneInfo("UTC" if exchange == ALWAYS_OPEN else timezone_of(exchange))


def exchange_day(exchange: str, day: date) -> tuple[datetime, datetime]:
    """Return midnight and the next midnight of the exchange's time zone, in UTC; they include extended hours."""
    zone = exchange_zone(exchange)
    begin, end = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
    return begin.astimezone(UTC), end.astimezone(UTC)


def select_series(ranges: StoredRanges, symbol: str, interval: str | None) -> Series:
    """Return the stored series of a symbol; `interval` may be None where there is one alone.

    Raises:
        StackError: there is none, or there are several and no interval was named.
    """
    require_stored(ranges, [symbol])
    stored = sorted((i for s, i in ranges if s == symbol), key=lambda i: interval_length(i) or timedelta.max)
    if interval is None and len(stored) > 1:
        raise StackError(f"{symbol} is stored in {', '.join(stored)}: choose one by --interval", Exit.USAGE)
    if interval is not None and interval not in stored:
        raise StackError(f"{symbol} is stored in {', '.join(stored)}, not in {interval}", Exit.USAGE)
    return symbol, interval or stored[0]


def time_range(
    exchange: str, begin: str | None, end: str | None, stored: tuple[datetime, datetime]
) -> tuple[datetime, datetime]:
    """Return the begin (included) and the end (excluded) of a range, in UTC.

    A date means the whole day in the exchange's time zone, a time is exact; None means the begin or the end of what is
    stored.

    Raises:
        StackError: a text is neither a date nor a time, or the end is not after the begin.
    """
    first = _parse(exchange, begin, "--from")[0] if begin else stored[0]
    last = _parse(exchange, end, "--to")[1] if end else stored[1] + timedelta(seconds=1)
    if last <= first:
        raise StackError(f"--to {end} is not after --from {begin}", Exit.USAGE)
    return first, last


def _parse(exchange: str, text: str, option: str) -> tuple[datetime, datetime]:
    """Return the begin and the end of a day; for a time, that time twice."""
    try:
        if len(text) == len("2026-11-20"):
            return exchange_day(exchange, date.fromisoformat(text))
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise StackError(f"{option} {text}: a day is 2026-11-20, a time 2026-11-20T14:30:00Z", Exit.USAGE) from None
    if moment.tzinfo is None:
        raise StackError(f"{option} {text} names no time zone; write {text}Z for UTC", Exit.USAGE)
    return moment.astimezone(UTC), moment.astimezone(UTC)
