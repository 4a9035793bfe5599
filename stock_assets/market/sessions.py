"""The sessions of a series, their expected bars, and their summaries. Pure."""

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
        """The primary key."""
        return self.session_date, self.symbol, self.interval


@dataclass(frozen=True, slots=True)
class SeriesSession:
    """A session of one symbol and interval."""

    symbol: str
    interval: str
    session: Session

    @property
    def key(self) -> Key:
        """The key of its row in `session_summary`."""
        return self.session.day, self.symbol, self.interval


def has_sessions(interval: str) -> bool:
    """Return whether each bar of `interval` belongs to one session: false for a week or a month."""
    return interval == "1d" or interval_length(interval) is not None


def bar_length(session: Session, interval: str) -> timedelta:
    """Return the length of a bar; for a daily bar the length of the session."""
    return interval_length(interval) or session.closed - session.opened


def expected_bars(session: Session, interval: str) -> list[datetime]:
    """Return the starts of the bars that a session has by the calendar, in UTC, without those that lie in its break."""
    length = bar_length(session, interval)
    count = -((session.opened - session.closed) // length)  # rounded up: the close cuts the last bar short
    starts = [session.opened + n * length for n in range(count)]
    if session.break_start is None or session.break_end is None:
        return starts
    return [at for at in starts if at < session.break_start or at + length > session.break_end]
