"""Which bars a person means: the interval and the span of time, from what was typed and what is stored."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from infra.host.errors import Exit, StackError
from infra.views.prices import of_symbols
from stock_assets.market.bars import interval_length
from stock_assets.market.calendars import timezone_of
from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.pipeline.quote_board import Series

Ends = Mapping[Series, tuple[datetime, datetime]]


def zone_of(exchange: str) -> ZoneInfo:
    """The zone of the exchange's wall clock; UTC where it never closes."""
    return ZoneInfo("UTC" if exchange == ALWAYS_OPEN else timezone_of(exchange))


def wall_day(exchange: str, day: date) -> tuple[datetime, datetime]:
    """From midnight to midnight by the exchange's wall clock, in UTC: with what is traded before and after hours."""
    zone = zone_of(exchange)
    begin, end = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
    return begin.astimezone(UTC), end.astimezone(UTC)


def series_of(ends: Ends, symbol: str, interval: str | None) -> Series:
    """The stored series that is meant.

    Raises:
        StackError: there is none, or there are several and none was named.
    """
    of_symbols(ends, [symbol])
    stored = sorted((i for s, i in ends if s == symbol), key=lambda i: interval_length(i) or timedelta.max)
    if interval is None and len(stored) > 1:
        raise StackError(f"{symbol} is stored in {', '.join(stored)}: choose one by --interval", Exit.USAGE)
    if interval is not None and interval not in stored:
        raise StackError(f"{symbol} is stored in {', '.join(stored)}, not in {interval}", Exit.USAGE)
    return symbol, interval or stored[0]


def time_range(
    exchange: str, begin: str | None, end: str | None, stored: tuple[datetime, datetime]
) -> tuple[datetime, datetime]:
    """From `begin` to before the end, in UTC: a day counts whole by the exchange's clock, a time is taken as it is.

    What isn't named is all that is stored.

    Raises:
        StackError: a text is neither a day nor a time, or the end comes before the begin.
    """
    first = _moment(exchange, begin, "--from")[0] if begin else stored[0]
    last = _moment(exchange, end, "--to")[1] if end else stored[1] + timedelta(seconds=1)
    if last <= first:
        raise StackError(f"--to {end} is not after --from {begin}", Exit.USAGE)
    return first, last


def _moment(exchange: str, text: str, option: str) -> tuple[datetime, datetime]:
    """Begin and end of a day; twice the same of a time."""
    try:
        if len(text) == len("2026-11-20"):
            return wall_day(exchange, date.fromisoformat(text))
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise StackError(f"{option} {text}: a day is 2026-11-20, a time 2026-11-20T14:30:00Z", Exit.USAGE) from None
    if moment.tzinfo is None:
        raise StackError(f"{option} {text} names no time zone; write {text}Z for UTC", Exit.USAGE)
    return moment.astimezone(UTC), moment.astimezone(UTC)
