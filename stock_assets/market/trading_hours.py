"""The stretches of time in which bars begin: sessions cut at their lunch, and, where they are wanted, the hours before
the open and after the close. A bar never reaches over the end of a stretch."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from stock_assets.market.calendars import Session, next_session, session_at, sessions_of, timezone_of
from stock_assets.market.symbols import ALWAYS_OPEN

# When trading begins before the open, by the exchange's clock, and how long it goes on after the close, also on a
# half-day. Source: NYSE and NASDAQ, "Holidays & Trading Hours". Yahoo has such bars of these exchanges alone.
_EXTENDED = {"XNYS": (time(4), timedelta(hours=4))}


def trading_interval_at(exchange: str, moment: datetime, *, extended: bool = False) -> Session:
    """The stretch that is on at `moment`, else the last one before; its day is that of its session."""
    found = _trading_intervals(exchange, extended)
    if found is None:
        return session_at(exchange, moment)
    number = bisect_right(found.opens, moment)
    if number == 0:
        raise ValueError(f"the calendar begins on {found.stretches[0].day}, and is asked for a day before")
    return found.stretches[number - 1]


def next_trading_interval(exchange: str, moment: datetime, *, extended: bool = False) -> Session:
    """The first stretch that opens after `moment`."""
    found = _trading_intervals(exchange, extended)
    if found is None:
        return next_session(exchange, moment)
    return found.stretches[bisect_right(found.opens, moment)]


def trading_day_at(exchange: str, moment: datetime, *, extended: bool = False) -> Session:
    """The trading day that is on at `moment`, else the last one before, from its first moment to its last."""
    session = session_at(exchange, moment)
    whole = Session(session.day, session.opened, session.closed)
    if not extended or exchange not in _EXTENDED:
        return whole
    following = _extended(exchange, next_session(exchange, session.opened))
    return following if following.opened <= moment else _extended(exchange, whole)


def has_extended_hours(exchange: str) -> bool:
    """Whether an exchange has bars before the open and after the close."""
    return exchange in _EXTENDED


def intervals_since_last_close(exchange: str, session: Session, *, extended: bool = False) -> list[Session]:
    """The trading intervals from the close of the session before to the end of this session's trading day.

    They are the hours after the close before, those before the open, the session with its lunch, and the hours after
    its close; without `extended`, or where an exchange has no such hours, the session alone.
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
    """In the order of time, and what they are searched by."""

    stretches: list[Session]
    opens: list[datetime]


@lru_cache
def _trading_intervals(exchange: str, extended: bool) -> _TradingIntervals | None:
    """None where the sessions themselves are the stretches: most exchanges have no lunch."""
    if exchange == ALWAYS_OPEN:
        return None
    sessions = sessions_of(exchange)
    has_lunch = any(session.break_start for session in sessions)
    if not has_lunch and not (extended and exchange in _EXTENDED):
        return None
    cut = [part for session in sessions for part in _cut(exchange, session, extended)]
    return _TradingIntervals(cut, [part.opened for part in cut])


def _cut(exchange: str, session: Session, extended: bool) -> Iterator[Session]:
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
    begins, goes_on = _EXTENDED[exchange]
    opened = datetime.combine(session.day, begins, ZoneInfo(timezone_of(exchange)))
    return Session(session.day, opened.astimezone(session.opened.tzinfo), session.closed + goes_on)
