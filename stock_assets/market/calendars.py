"""The sessions of each exchange, computed in the exchange's time zone, given in UTC."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import exchange_calendars
import pandas as pd

from stock_assets.market.symbols import ALWAYS_OPEN

# The first day with sessions: recorded bars may be decades old.
_FIRST_DAY = pd.Timestamp("1970-01-01")  # no valid bar is older


@dataclass(frozen=True, slots=True)
class Session:
    """A trading day: its date at the exchange, and the times of its open, close and break, in UTC."""

    day: date
    opened: datetime
    closed: datetime
    break_start: datetime | None = None
    break_end: datetime | None = None

    def is_on(self, moment: datetime) -> bool:
        """Return whether the market trades at `moment`: from open to before close, except during a break at noon."""
        if not self.opened <= moment < self.closed:
            return False
        return self.break_start is None or self.break_end is None or not self.break_start <= moment < self.break_end


def session_on(exchange: str, day: date) -> Session:
    """Return the session on a date.

    Raises:
        ValueError: the exchange was closed on that day.
    """
    if exchange == ALWAYS_OPEN:
        return _utc_day(day)
    schedule = _schedule(exchange)
    at = bisect_left(schedule.days, day)
    if at == len(schedule.days) or schedule.days[at] != day:
        raise ValueError(f"{day} was no trading day of {exchange}")
    return schedule.sessions[at]


def sessions_between(exchange: str, first: date, last: date) -> list[Session]:
    """Return the sessions from `first` to `last`, both included; none before the calendar begins."""
    if exchange == ALWAYS_OPEN:
        return [_utc_day(first + timedelta(days=n)) for n in range((last - first).days + 1)]
    schedule = _schedule(exchange)
    return schedule.sessions[bisect_left(schedule.days, first) : bisect_right(schedule.days, last)]


def trading_days(exchange: str, first: date, last: date) -> set[date]:
    """Return the dates of the exchange's sessions from `first` to `last`, both included."""
    days = _calendar(exchange).sessions
    return {day.date() for day in days[(days >= pd.Timestamp(first)) & (days <= pd.Timestamp(last))]}


def session_at(exchange: str, moment: datetime) -> Session:
    """Return the session that is open at `moment`, else the last one before."""
    if exchange == ALWAYS_OPEN:
        return _utc_day(moment.astimezone(UTC).date())
    schedule = _schedule(exchange)
    return schedule.before(bisect_right(schedule.opens, moment))


def last_closed(exchange: str, moment: datetime) -> Session:
    """Return the last session that has closed at `moment`."""
    if exchange == ALWAYS_OPEN:
        return _utc_day(moment.astimezone(UTC).date() - timedelta(days=1))
    schedule = _schedule(exchange)
    return schedule.before(bisect_right(schedule.closes, moment))


def next_session(exchange: str, moment: datetime) -> Session:
    """Return the first session that opens after `moment`."""
    if exchange == ALWAYS_OPEN:
        return _utc_day(moment.astimezone(UTC).date() + timedelta(days=1))
    schedule = _schedule(exchange)
    return schedule.sessions[bisect_right(schedule.opens, moment)]


def sessions_of(exchange: str) -> list[Session]:
    """Return all sessions of the calendar, oldest first; not for a market that is always open."""
    return _schedule(exchange).sessions


def is_open(exchange: str, now: datetime) -> bool:
    """Return whether the market trades at `now`."""
    return session_at(exchange, now).is_on(now)


def timezone_of(exchange: str) -> str:
    """Return the exchange's time zone, as `America/New_York`."""
    return str(_calendar(exchange).tz)


def date_at(exchange: str, moment: datetime) -> date:
    """Return the date at the exchange at `moment`."""
    return moment.astimezone(UTC if exchange == ALWAYS_OPEN else _calendar(exchange).tz).date()


@dataclass(frozen=True)
class _Schedule:
    """An exchange's sessions, oldest first, and the lists by which they are searched."""

    sessions: list[Session]
    days: list[date]
    opens: list[datetime]
    closes: list[datetime]

    def before(self, index: int) -> Session:
        """Return the session before the one at `index`.

        Raises:
            ValueError: the calendar begins later.
        """
        if index == 0:
            raise ValueError(f"the calendar begins on {self.days[0]}; there is no earlier session")
        return self.sessions[index - 1]


@lru_cache
def _calendar(exchange: str) -> exchange_calendars.ExchangeCalendar:
    known_from = exchange_calendars.get_calendar(exchange).bound_min()
    start = _FIRST_DAY if known_from is None else max(_FIRST_DAY, known_from)
    return exchange_calendars.get_calendar(exchange, start=start)


@lru_cache
def _schedule(exchange: str) -> _Schedule:
    # The calendar's own methods for a minute build an index of all its minutes: 100 MB an exchange.
    table = _calendar(exchange).schedule
    sessions = [
        Session(day.date(), _utc(row.open), _utc(row.close), _utc_or_none(row.break_start), _utc_or_none(row.break_end))
        for day, row in zip(table.index, table.itertuples(index=False), strict=True)
    ]
    return _Schedule(sessions, [s.day for s in sessions], [s.opened for s in sessions], [s.closed for s in sessions])


def _utc(moment: pd.Timestamp) -> datetime:
    return moment.to_pydatetime().astimezone(UTC)


def _utc_or_none(moment: pd.Timestamp) -> datetime | None:
    return None if pd.isna(moment) else _utc(moment)


def _utc_day(day: date) -> Session:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Session(day, begin, begin + timedelta(days=1))
