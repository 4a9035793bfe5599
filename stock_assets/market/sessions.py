"""Trading sessions: which bars belong to one, and which sessions there is something to say about by now. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from stock_assets.market.bars import interval_length
from stock_assets.market.calendars import Session

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
