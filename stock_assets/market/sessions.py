"""Trading sessions: which bars belong to one, and which sessions there is something to say about by now. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from stock_assets.market.bars import interval_length
from stock_assets.market.calendars import Session, session_at, sessions_between
from stock_assets.market.coverage import Coverage

SETTLE = timedelta(minutes=15)  # after the close: the last bars are final, and have been asked for once more
PATIENCE = timedelta(hours=1)  # after the close: what hasn't come by now is missing, and is told so
LOOK_BACK = timedelta(days=7)  # what a machine has missed that was off; further back it is a backfill

Key = tuple[date, str, str]  # session date, symbol, interval


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One row of `session_summary`. Times are UTC; prices are None where no bar of the session is stored."""

    session_date: date
    symbol: str
    interval: str
    opens_at: datetime
    closes_at: datetime
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: int | None
    vwap: float | None
    bars_expected: int
    bars_stored: int
    bars_missing: int
    summarised_at: datetime

    @property
    def key(self) -> Key:
        """What no other row has."""
        return self.session_date, self.symbol, self.interval


@dataclass(frozen=True, slots=True)
class SeriesSession:
    """A session of one symbol and interval."""

    symbol: str
    interval: str
    session: Session

    @property
    def key(self) -> Key:
        """The row of `session_summary` that is about it."""
        return self.session.day, self.symbol, self.interval


def has_sessions(interval: str) -> bool:
    """Whether bars of `interval` lie in one session each: not those of a week or a month."""
    return interval == "1d" or interval_length(interval) is not None


def bar_length(session: Session, interval: str) -> timedelta:
    """How long a bar lasts; a daily one lasts the session."""
    return interval_length(interval) or session.closed - session.opened


def expected_bars(session: Session, interval: str) -> list[datetime]:
    """The starts of the bars that a session has by its calendar; none that lies in the break."""
    length = bar_length(session, interval)
    count = -((session.opened - session.closed) // length)  # rounded up: the close cuts the last bar short
    starts = [session.opened + n * length for n in range(count)]
    if session.break_start is None or session.break_end is None:
        return starts
    return [at for at in starts if at < session.break_start or at + length > session.break_end]


def has_begun(session: Session, oldest: datetime | None, row: Coverage | None) -> bool:
    """Whether a series has bars since before the session's close: of what was before it began there is nothing to say.

    Args:
        session: one of its exchange.
        oldest: the start of its oldest stored bar.
        row: its coverage, which counts while nothing is stored.
    """
    begin = oldest or (row.newest_bar if row is not None else None)
    return begin is not None and begin < session.closed


def settled_sessions(
    row: Coverage, exchange: str, stored: bool, now: datetime, back: timedelta = LOOK_BACK
) -> list[SeriesSession]:
    """The sessions of the last days whose bars have come, or have had the time to; oldest first.

    Nothing here waits for what may be dead: `PATIENCE` after the close a session is settled as it is.

    Args:
        row: the coverage of the symbol and interval.
        exchange: its calendar.
        stored: whether all that was published is stored.
        now: aware.
        back: how far back.
    """
    sessions = sessions_between(exchange, (now - back).date(), (now + timedelta(days=1)).date())
    recent = [SeriesSession(row.symbol, row.interval, s) for s in sessions if now - back <= s.closed <= now]
    return [one for one in recent if _is_settled(one, row, stored, now)]


def _is_settled(one: SeriesSession, row: Coverage, stored: bool, now: datetime) -> bool:
    if now >= one.session.closed + PATIENCE:
        return True
    asked = row.next_due is None or row.covered_until >= expected_bars(one.session, one.interval)[-1]
    return asked and stored and now >= one.session.closed + SETTLE


def newest_replayed(rows: Iterable[Coverage], exchanges: Mapping[str, str]) -> list[SeriesSession]:
    """The newest session of a replay that is at its end: those of its symbols that have bars in it."""
    newest = [
        SeriesSession(row.symbol, row.interval, session_at(exchanges[row.symbol], row.newest_bar))
        for row in rows
        if row.newest_bar is not None and row.symbol in exchanges
    ]
    last = max((one.session.day for one in newest), default=None)
    return [one for one in newest if one.session.day == last]


def due(
    settled: Iterable[SeriesSession], summarised: Mapping[Key, datetime], repaired: Mapping[Key, datetime]
) -> set[Key]:
    """The settled sessions without a summary from after their end, and those that were repaired since their summary."""
    fresh = {one.key for one in settled if one.key not in summarised or summarised[one.key] < one.session.closed}
    return fresh | {key for key, mended in repaired.items() if key not in summarised or summarised[key] < mended}
