"""Which bar should be stored by now, and whether it is: the one place that decides how fresh prices are. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from stock_assets.market.bars import interval_length
from stock_assets.market.calendars import last_closed
from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.market.trading_hours import trading_interval_at
from stock_assets.pipeline.coverage import Coverage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FreshnessStatus(StrEnum):
    """How a symbol's newest stored bar compares with the expected one."""

    FRESH = "fresh"
    LATE = "late"
    MISSING = "missing"  # one is expected and none is stored
    NOTHING_EXPECTED = "nothing expected yet"


@dataclass(frozen=True, slots=True)
class Freshness:
    """The freshness of one symbol and interval; times are starts of bars, in UTC."""

    symbol: str
    interval: str
    newest: datetime | None
    expected: datetime | None
    late_by: timedelta
    status: FreshnessStatus

    @property
    def passed(self) -> bool:
        """Whether no bar is late or missing."""
        return self.status in (FreshnessStatus.FRESH, FreshnessStatus.NOTHING_EXPECTED)


def newest_final_bar(
    exchange: str, interval: str, delay: timedelta, now: datetime, *, extended: bool = False
) -> datetime:
    """Return the start of the newest bar that is over, with `delay` added, at `now`, by the exchange's calendar.

    `delay` is what the exchange and the source add before a bar can be had. Open or closed makes no difference:
    after the close it is the session's last bar. With `extended`, trade before the open and after the close counts.
    """
    moment = now - delay
    length = interval_length(interval)
    if length is None:  # a daily bar is over at the close
        return last_closed(exchange, moment).opened
    if exchange == ALWAYS_OPEN:
        return _floor(moment, _EPOCH, length) - length
    session = trading_interval_at(
        exchange, moment - length, extended=extended
    )  # the newest one whose first bar is over
    newest = _floor(min(moment, session.closed), session.opened, length)
    # The end cuts the last bar short where the stretch is no multiple of the interval: hours from 9:30 to 16:00.
    is_cut_short = moment >= session.closed and newest < session.closed
    return newest if is_cut_short else newest - length


def _floor(moment: datetime, origin: datetime, length: timedelta) -> datetime:
    return origin + (moment - origin) // length * length


def expected_newest(
    exchange: str,
    interval: str,
    delay: timedelta,
    coverage: Coverage | None,
    now: datetime,
    *,
    extended: bool = False,
) -> datetime | None:
    """Return the start of the bar that should be stored by `now`; None while none is expected.

    With `extended`, bars before the open and after the close are expected, too.

    The calendar determines which bar is over. Where the source has already been asked up to there (`coverage`), what it
    gave counts instead: a halted or thin symbol, or a file at its end, is not late.
    """
    by_calendar = newest_final_bar(exchange, interval, delay, now, extended=extended)
    if coverage is None:
        return by_calendar
    if coverage.next_due is None or coverage.covered_until >= by_calendar:
        given = coverage.newest_bar
        return min(given, by_calendar) if given is not None and coverage.next_due is not None else given
    return by_calendar


def evaluate_freshness(symbol: str, interval: str, newest: datetime | None, expected: datetime | None) -> Freshness:
    """Compare the newest stored bar with the expected one."""
    if expected is None:
        status, late_by = FreshnessStatus.NOTHING_EXPECTED, timedelta(0)
    elif newest is None:
        status, late_by = FreshnessStatus.MISSING, timedelta(0)
    elif newest < expected:
        status, late_by = FreshnessStatus.LATE, expected - newest
    else:
        status, late_by = FreshnessStatus.FRESH, timedelta(0)
    return Freshness(symbol, interval, newest, expected, late_by, status)
