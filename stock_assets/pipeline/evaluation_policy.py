"""When the prices are evaluated: while something may change, and once after it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.market.symbols import delay_of
from stock_assets.market.trading_hours import trading_day_at


@dataclass(frozen=True, slots=True)
class LastEvaluation:
    """When the prices were evaluated last (UTC), and whether all checks passed."""

    at: datetime
    passed: bool


def reason_to_evaluate(
    exchanges: Iterable[str],
    settle: timedelta,
    last: LastEvaluation | None,
    moved_at: datetime | None,
    busy: str,
    now: datetime,
    *,
    extended: bool = False,
) -> str | None:
    """Return why the prices are to be evaluated now; None while an evaluation would have nothing new to report.

    Args:
        exchanges: of the symbols from which bars are still to come.
        settle: what a bar may take from its end until it is stored; the exchange's own delay comes on top.
        last: the newest evaluation; None where there has never been one.
        moved_at: when a program wrote its last heartbeat, UTC.
        busy: what is under way; empty for nothing.
        now: aware.
        extended: whether an exchange counts as open before the open and after the close, too.
    """
    if last is None:
        return "nothing has been evaluated yet"
    if busy:
        return busy
    for exchange in sorted(set(exchanges)):
        session = trading_day_at(exchange, now, extended=extended)
        settled = session.closed + settle + delay_of(exchange)
        if now < session.closed:
            return f"{exchange} is open"
        if last.at < settled:
            return f"{exchange} has closed at {session.closed:%H:%M} UTC"
    if not last.passed:
        return "the last evaluation failed"
    if moved_at is not None and last.at < moved_at:
        return "a program has ended since the last evaluation"
    return None
