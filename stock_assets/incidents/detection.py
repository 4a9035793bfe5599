"""Finds the incidents that are open now, in verdicts, runs and the ticks of sensors and schedules. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from stock_assets.incidents.notifications import Incident, Severity
from stock_assets.pipeline.run_records import ACTIVE, FAILED, CheckVerdict, PipelineRun

HEALTHY_AFTER = timedelta(minutes=2)  # a run that lasts so long no longer has the error of the run before
CRASH_LOOP_LENGTH = 3  # crashes in a row
CRASH_LOOP_END = timedelta(minutes=30)  # without a crash; above the longest back-off, which is ten minutes
SHORTEST_TICK_FAILURE = timedelta(minutes=1)  # ticks that fail for less are no incident: a server was restarted
_SHOWN_ROWS = 10  # of a check's table in a notification


@dataclass(frozen=True, slots=True)
class Tick:
    """An evaluation of a sensor or schedule; `error` is empty where it succeeded."""

    at: datetime
    error: str


def find_incidents(
    verdicts: Iterable[CheckVerdict],
    runs: Iterable[PipelineRun],
    ticks: Mapping[str, Sequence[Tick]],
    ui: str,
    now: datetime,
) -> list[Incident]:
    """Return every incident that is open now.

    Args:
        verdicts: the newest of each check.
        runs: those that are kept, in any order.
        ticks: `sensor:NAME` or `schedule:NAME` -> its newest ticks, the newest first; not of one that a person has
            stopped.
        ui: Dagster's address, for links.
        now: aware.
    """
    by_job: dict[str, list[PipelineRun]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.created_at):
        by_job[run.job].append(run)
    found = [_check_incident(verdict, ui) for verdict in verdicts if not verdict.passed]
    found += [_run_incident(job, runs_of_job, ui, now) for job, runs_of_job in by_job.items()]
    found += [_tick_incident(subject, newest, ui) for subject, newest in ticks.items()]
    return [incident for incident in found if incident is not None]


def _check_incident(verdict: CheckVerdict, ui: str) -> Incident | None:
    is_error = verdict.severity != "WARN"
    details = [_one_line(row) for row in verdict.rows[:_SHOWN_ROWS]]
    if len(verdict.rows) > _SHOWN_ROWS:
        details.append(f"and {len(verdict.rows) - _SHOWN_ROWS:,} more")
    return Incident(
        subject=f"check:{verdict.check_name}",
        since=verdict.since,
        severity=Severity.ERROR if is_error else Severity.WARNING,
        title=f"{verdict.check_name} {'failed' if is_error else 'warns'}",
        text="\n".join([verdict.summary, *details]),
        link=f"{ui}/assets/{verdict.asset}?view=checks&checkDetail={verdict.check_name}",
        is_worse=is_error,
    )


def _one_line(row: Mapping[str, object]) -> str:
    """A row of a check's table, symbol or partition first: PostgreSQL's JSONB keeps no order."""
    names = sorted(row, key=lambda name: (name not in ("symbol", "partition"), name))
    return ", ".join(f"{name} {row[name]}" for name in names)


def _run_incident(job: str, runs: Sequence[PipelineRun], ui: str, now: datetime) -> Incident | None:
    """A job's incident: its newest run has failed, and no other is healthy. `runs` in the order of time."""
    crashes = _crashes(runs)
    if not crashes:
        return None
    last, is_loop = crashes[-1], len(crashes) >= CRASH_LOOP_LENGTH
    healthy_after = CRASH_LOOP_END if is_loop else HEALTHY_AFTER
    # An older run counts as well: the one that failed was then a second one, which the process lock refused.
    if any(run.status in ACTIVE and run.started_at and now - run.started_at >= healthy_after for run in runs):
        return None
    text = f"Run {last.run_id} failed: {last.summary}"
    if is_loop:
        text = f"{len(crashes)} runs of {job} have failed in a row; each is retried later. {text}"
    return Incident(
        subject=f"run:{job}",
        since=_since_healthy(crashes)[0].ended_at or last.created_at,
        severity=Severity.ERROR,
        title=f"{job} fails again and again" if is_loop else f"{job} failed",
        text=text,
        link=f"{ui}/runs/{last.run_id}",
        is_worse=is_loop,
    )


def _crashes(runs: Sequence[PipelineRun]) -> list[PipelineRun]:
    """The failed runs since the last success, without those before a run that lasted half an hour."""
    crashes: list[PipelineRun] = []
    for run in runs:
        if run.status == "SUCCESS":
            crashes = []
        elif run.status == FAILED:
            crashes = [*crashes, run] if crashes and not _lasted(run, CRASH_LOOP_END) else [run]
    return crashes


def _since_healthy(crashes: Sequence[PipelineRun]) -> Sequence[PipelineRun]:
    """The newest of the crashes, from the end of the last run that was healthy before it crashed."""
    begin = 0
    for number, (_, after) in enumerate(pairwise(crashes), start=1):
        if _lasted(after, HEALTHY_AFTER):
            begin = number
    return crashes[begin:]


def _lasted(run: PipelineRun, duration: timedelta) -> bool:
    return bool(run.started_at and run.ended_at and run.ended_at - run.started_at >= duration)


def _tick_incident(subject: str, ticks: Sequence[Tick], ui: str) -> Incident | None:
    failed: list[Tick] = []
    for tick in ticks:
        if not tick.error:
            break
        failed.append(tick)
    if len(failed) < 2 or failed[0].at - failed[-1].at < SHORTEST_TICK_FAILURE:
        return None
    return Incident(
        subject=subject,
        since=failed[-1].at,
        severity=Severity.ERROR,
        title=f"{subject.partition(':')[2]} keeps failing",
        text=f"Its ticks fail: {failed[0].error}",
        link=f"{ui}/automation",
    )
