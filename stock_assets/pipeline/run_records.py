"""What is recorded of Dagster: the newest evaluation of each check, and the runs. Every time is UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

ACTIVE = frozenset({"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"})  # Dagster's words for "not ended yet"
FAILED = "FAILURE"


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """One row of `check_verdict`."""

    check_name: str
    asset: str
    severity: str
    passed: bool
    summary: str
    rows: Sequence[Mapping[str, object]]
    judged_at: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """One row of `pipeline_run`."""

    run_id: str
    role: str | None
    job: str
    status: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    summary: str


def keep_since(before: CheckVerdict | None, newer: CheckVerdict) -> CheckVerdict:
    """Return the newer evaluation, with the older one's `since` where both passed or both failed."""
    if before is None or before.passed != newer.passed:
        return newer
    return replace(newer, since=before.since)
