"""When a verdict on the prices is worth recording: while something is at stake, and once after it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.market.calendars import session_at
from stock_assets.market.symbols import delay_of


@dataclass(frozen=True, slots=True)
class LastEvaluation:
    """When the prices were judged last (UTC), and whether nobody had to do anything."""

    at: datetime
    passed: bool


def reason_to_evaluate(
    exchanges: Iterable[str],
    settle: timedelta,
    last: LastEvaluation | None,
    moved_at: datetime | None,
    busy: str,
    now: datetime,
) -> str | None:
    """Why the prices are to be judged now; None while a verdict would say nothing new.

    Args:
        exchanges: of the symbols from which bars are still to come.
        settle: what a bar may take from its end until it is stored; the exchange's own delay comes on top.
        last: the newest verdict; None where there has never been one.
        moved_at: the last sign of life of a program, UTC.
        busy: what is under way; empty for nothing.
        now: aware.
    """
    if last is None:
        return "nothing has been judged yet"
    if busy:
        return busy
    for exchange in sorted(set(exchanges)):
        session = session_at(exchange, now)
        settled = session.closed + settle + delay_of(exchange)
        if now < session.closed:
            return f"{exchange} is open"
        if last.at < settled:
            return f"{exchange} has closed at {session.closed:%H:%M} UTC"
    if not last.passed:
        return "the last verdict was a failure"
    if moved_at is not None and last.at < moved_at:
        return "a program has ended since the last verdict"
    return None
