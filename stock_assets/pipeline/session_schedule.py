"""When a trading session is summarised and evaluated: it is over, and its bars are stored or overdue. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from stock_assets.market.calendars import Session, session_at, sessions_between
from stock_assets.market.sessions import Key, SeriesSession, expected_bars
from stock_assets.pipeline.coverage import Coverage

# After the close. By the first the last bars are final and were requested once more; by the second what hasn't
# arrived is missing.
SETTLING_TIME = timedelta(minutes=15)
ARRIVAL_DEADLINE = timedelta(hours=1)
LOOK_BACK = timedelta(days=7)  # sessions that ended while the machine was off; older ones need a backfill


def has_begun(session: Session, oldest: datetime | None, row: Coverage | None) -> bool:
    """Return whether a series has bars since before the session's close: older sessions are not evaluated.

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
    """Return the sessions of the last days whose bars have come, or have had the time to; oldest first.

    `ARRIVAL_DEADLINE` after its close a session counts as settled, whatever has arrived.

    Args:
        row: the coverage of the symbol and interval.
        exchange: its calendar.
        stored: whether all that was published is stored.
        now: aware.
        back: how far back.
    """
    sessions = sessions_between(exchange, (now - back).date(), (now + timedelta(days=1)).date())
    recent = [SeriesSession(row.symbol, row.interval, s) for s in sessions if now - back <= s.closed <= now]
    return [one for one in recent if is_settled(one, row, stored, now)]


def is_settled(one: SeriesSession, row: Coverage, stored: bool, now: datetime) -> bool:
    """Return whether the bars of a session, or of one of its trading intervals, have come or have had the time to.

    `stored` is whether all that was published is stored.
    """
    if now >= one.session.closed + ARRIVAL_DEADLINE:
        return True
    asked = row.next_due is None or row.covered_until >= expected_bars(one.session, one.interval)[-1]
    return asked and stored and now >= one.session.closed + SETTLING_TIME


def newest_replayed(rows: Iterable[Coverage], exchanges: Mapping[str, str]) -> list[SeriesSession]:
    """Return the newest session of a replay that has ended, for each symbol that has bars in it."""
    newest = [
        SeriesSession(row.symbol, row.interval, session_at(exchanges[row.symbol], row.newest_bar))
        for row in rows
        if row.newest_bar is not None and row.symbol in exchanges
    ]
    last = max((one.session.day for one in newest), default=None)
    return [one for one in newest if one.session.day == last]


def sessions_due(
    settled: Iterable[SeriesSession], summarised: Mapping[Key, datetime], repaired: Mapping[Key, datetime]
) -> set[Key]:
    """Return the settled sessions that have no summary made after their end, or were repaired since."""
    fresh = {one.key for one in settled if one.key not in summarised or summarised[one.key] < one.session.closed}
    return fresh | {key for key, mended in repaired.items() if key not in summarised or summarised[key] < mended}
