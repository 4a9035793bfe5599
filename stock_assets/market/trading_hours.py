"""Trading intervals: sessions, split at a break at noon, and with extended hours also the time before the open and
after the close. A bar starts in an interval and ends no later than it."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from stock_assets.market.calendars import Session, next_session, session_at, sessions_of, timezone_of
from stock_assets.market.symbols import ALWAYS_OPEN

# The start of trading before the open, in the exchange's time, and its duration after the close, also on a half-day.
# Source: NYSE and NASDAQ, "Holidays & Trading Hours". Yahoo has bars of extended hours for these exchanges only.
_EXTENDED = {"XNYS": (time(4), timedelta(hours=4))}


def trading_interval_at(exchange: str, moment: datetime, *, extended: bool = False) -> Session:
    """Return the interval that is open at `moment`, else the last one before; its `day` is that of its session.

    Raises:
        ValueError: the calendar begins later.
    """
    found = _trading_intervals(exchange, extended)
    if found is None:
        return session_at(exchange, moment)
    index = bisect_right(found.opens, moment)
    if index == 0:
        raise ValueError(f"the calendar begins on {found.intervals[0].day}; there is no earlier session")
    return found.intervals[index - 1]


def next_trading_interval(exchange: str, moment: datetime, *, extended: bool = False) -> Session:
    """Return the first interval that opens after `moment`."""
    found = _trading_intervals(exchange, extended)
    if found is None:
        return next_session(exchange, moment)
    return found.intervals[bisect_right(found.opens, moment)]


def trading_day_at(exchange: str, moment: datetime, *, extended: bool = False) -> Session:
    """Return the trading day that is open at `moment`, else the last one before, without its break."""
    session = session_at(exchange, moment)
    whole = Session(session.day, session.opened, session.closed)
    if not extended or exchange not in _EXTENDED:
        return whole
    following = _extended(exchange, next_session(exchange, session.opened))
    return following if following.opened <= moment else _extended(exchange, whole)


def has_extended_hours(exchange: str) -> bool:
    """Return whether an exchange has bars before the open and after the close."""
    return exchange in _EXTENDED


def intervals_since_last_close(exchange: str, session: Session, *, extended: bool = False) -> list[Session]:
    """Return the trading intervals from the close of the session before to the end of this session's trading day.

    With extended hours: from the close before to the end of that day, from the day's begin to the open, the session
    with its break, and from the close to the day's end. Without `extended`, or if the exchange has no such hours, the
    session alone.
    """
    if not extended or not has_extended_hours(exchange):
        return [session]
    before = session_at(exchange, session.opened - timedelta(microseconds=1))
    last, whole = _extended(exchange, before), _extended(exchange, session)
    return [
        Session(before.day, before.closed, last.closed),
        Session(session.day, whole.opened, session.opened),
        session,
        Session(session.day, session.closed, whole.closed),
    ]


@dataclass(frozen=True)
class _TradingIntervals:
    """Intervals, oldest first, and the list by which they are searched."""

    intervals: list[Session]
    opens: list[datetime]


@lru_cache
def _trading_intervals(exchange: str, extended: bool) -> _TradingIntervals | None:
    """None where the sessions themselves are the intervals: most exchanges have no break."""
    if exchange == ALWAYS_OPEN:
        return None
    sessions = sessions_of(exchange)
    has_break = any(session.break_start for session in sessions)
    if not has_break and not (extended and exchange in _EXTENDED):
        return None
    intervals = [part for session in sessions for part in _intervals_of(exchange, session, extended)]
    return _TradingIntervals(intervals, [interval.opened for interval in intervals])


def _intervals_of(exchange: str, session: Session, extended: bool) -> Iterator[Session]:
    day, whole = session.day, _extended(exchange, session) if extended else session
    if whole.opened < session.opened:
        yield Session(day, whole.opened, session.opened)
    if session.break_start is None or session.break_end is None:
        yield Session(day, session.opened, session.closed)
    else:
        yield Session(day, session.opened, session.break_start)
        yield Session(day, session.break_end, session.closed)
    if session.closed < whole.closed:
        yield Session(day, session.closed, whole.closed)


def _extended(exchange: str, session: Session) -> Session:
    if not has_extended_hours(exchange):
        return session
    begin, duration = _EXTENDED[exchange]
    opened = datetime.combine(session.day, begin, ZoneInfo(timezone_of(exchange)))
    return Session(session.day, opened.astimezone(session.opened.tzinfo), session.closed + duration)
