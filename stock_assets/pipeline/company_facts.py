"""Which symbols should have a row of company facts by now. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

# Half an hour after New York's regular close, when the day's figures have settled; Monday to Friday.
RUN_AT = time(16, 30)
RUN_ZONE = "America/New_York"
RUN_CRON = f"{RUN_AT.minute} {RUN_AT.hour} * * 1-5"
_RUN_TAKES = timedelta(hours=1)  # at most, with what is fetched again after failures


@dataclass(frozen=True, slots=True)
class MissingFacts:
    """Symbols without a row: `missing` should have one by now; no run has had the time to fetch `awaited`."""

    missing: Sequence[str]
    awaited: Sequence[str]


def next_run(after: datetime) -> datetime:
    """Return when the facts are fetched next by schedule, in the zone of the schedule."""
    zone = ZoneInfo(RUN_ZONE)
    local = after.astimezone(zone)
    run = datetime.combine(local.date(), RUN_AT, zone)
    while run <= local or run.weekday() > 4:
        run = datetime.combine(run.date() + timedelta(days=1), RUN_AT, zone)
    return run


def missing_facts(
    without_row: Sequence[str], added_at: Mapping[str, datetime], run_began_at: datetime | None, now: datetime
) -> MissingFacts:
    """Tell symbols whose row is missing from those for which none can be expected yet.

    Args:
        without_row: symbols without a row.
        added_at: when each symbol was added to the watchlist (UTC); a symbol that isn't there was always watched.
        run_began_at: when the newest run began that has fetched facts; None where there was none.
        now: aware.
    """

    def is_awaited(symbol: str) -> bool:
        added = added_at.get(symbol)
        if added is None or (run_began_at is not None and run_began_at >= added):
            return False
        return now < next_run(added) + _RUN_TAKES

    awaited = [symbol for symbol in without_row if is_awaited(symbol)]
    return MissingFacts([symbol for symbol in without_row if symbol not in awaited], awaited)
