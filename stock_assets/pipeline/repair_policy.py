"""When a run that repairs sessions is started, and started again after it has failed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from spark_streaming.contract.backoff import delay_seconds

MOST_ATTEMPTS = 8  # some three hours; a newer request starts the count again, also for older ones
_FIRST_PAUSE_SECONDS = 120
_LONGEST_PAUSE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class RepairDecision:
    """Whether a run is started now: the number of the attempt, from 1, or None; and why."""

    attempt: int | None
    reason: str


def decide_repair(waiting: int, *, is_active: bool, ended: Sequence[datetime], now: datetime) -> RepairDecision:
    """Return whether the source is to be asked now for the sessions that wait.

    Args:
        waiting: sessions for which the source has not been asked yet.
        is_active: whether a run of the job is queued or at work.
        ended: when the runs ended (UTC) that were started since the newest request.
        now: aware.
    """
    if not waiting:
        return RepairDecision(None, "no session waits for a repair")
    sessions = f"{waiting} session{'s' if waiting > 1 else ''}"
    if is_active:
        return RepairDecision(None, f"{sessions} to repair; a run of repair_gaps is active")
    if len(ended) >= MOST_ATTEMPTS:
        return RepairDecision(
            None, f"{sessions} could not be repaired in {len(ended)} runs; run repair_gaps by hand to try again"
        )
    if ended:
        again = max(ended) + timedelta(seconds=delay_seconds(len(ended), _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS))
        if now < again:
            return RepairDecision(None, f"{sessions} to repair; the next attempt is at {again:%H:%M:%S} UTC")
    return RepairDecision(len(ended) + 1, f"{sessions} lack bars" if waiting > 1 else "1 session lacks bars")
