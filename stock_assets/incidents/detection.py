"""What is wrong now, from verdicts, runs and the sensors' ticks. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from stock_assets.incidents.notifications import Incident, Severity
from stock_assets.pipeline.run_records import ACTIVE, FAILED, CheckVerdict, PipelineRun

HEALTHY = timedelta(minutes=2)  # a run that lives so long has got over what the one before failed of
CRASHES = 3  # so many make a loop
CALM = timedelta(minutes=30)  # a loop is over after so long without a crash; the longest pause between two is ten
LASTING = timedelta(minutes=1)  # a sensor whose ticks fail for less is not spoken of: a server has started again
_NUMBERS = 10  # rows of a check's table in a message


@dataclass(frozen=True, slots=True)
class SensorTick:
    """A sensor's evaluation; `error` is empty where it went well."""

    at: datetime
    error: str


def find_incidents(
    verdicts: Iterable[CheckVerdict],
    runs: Iterable[PipelineRun],
    ticks: Mapping[str, Sequence[SensorTick]],
    ui: str,
    now: datetime,
) -> list[Incident]:
    """Everything that is wrong now.

    Args:
        verdicts: the newest of each check.
        runs: those that are kept, in any order.
        ticks: sensor -> its newest ticks, the newest first; none of a sensor that a person has stopped.
        ui: Dagster's address, for links.
        now: aware.
    """
    by_job: dict[str, list[PipelineRun]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.created_at):
        by_job[run.job].append(run)
    found = [_of_check(verdict, ui) for verdict in verdicts if not verdict.passed]
    found += [_of_runs(job, of_job, ui, now) for job, of_job in by_job.items()]
    found += [_of_sensor(name, newest, ui) for name, newest in ticks.items()]
    return [trouble for trouble in found if trouble is not None]


def _of_check(verdict: CheckVerdict, ui: str) -> Incident | None:
    severe = verdict.severity != "WARN"
    numbers = [_numbers(row) for row in verdict.rows[:_NUMBERS]]
    if len(verdict.rows) > _NUMBERS:
        numbers.append(f"and {len(verdict.rows) - _NUMBERS:,} more")
    return Incident(
        subject=f"check:{verdict.check_name}",
        since=verdict.since,
        severity=Severity.ERROR if severe else Severity.WARNING,
        title=f"{verdict.check_name} {'failed' if severe else 'warns'}",
        text="\n".join([verdict.summary, *numbers]),
        link=f"{ui}/assets/{verdict.asset}?view=checks&checkDetail={verdict.check_name}",
        is_worse=severe,
    )


def _numbers(row: Mapping[str, object]) -> str:
    """A row in one line, what it is about first: PostgreSQL keeps no order."""
    names = sorted(row, key=lambda name: (name not in ("symbol", "partition"), name))
    return ", ".join(f"{name} {row[name]}" for name in names)


def _of_runs(job: str, runs: Sequence[PipelineRun], ui: str, now: datetime) -> Incident | None:
    """A job's trouble: its newest run has failed, and none lives well. `runs` in the order of time."""
    crashes = _crashes(runs)
    if not crashes:
        return None
    last, is_loop = crashes[-1], len(crashes) >= CRASHES
    calm = CALM if is_loop else HEALTHY
    # Also one from before: the crash was then of another one beside it, which the lock has sent away.
    if any(run.status in ACTIVE and run.started_at and now - run.started_at >= calm for run in runs):
        return None
    text = f"Run {last.run_id} failed: {last.summary}"
    if is_loop:
        text = f"{len(crashes)} runs of {job} have failed in a row; each is tried again later. {text}"
    return Incident(
        subject=f"run:{job}",
        since=_streak(crashes)[0].ended_at or last.created_at,
        severity=Severity.ERROR,
        title=f"{job} fails again and again" if is_loop else f"{job} failed",
        text=text,
        link=f"{ui}/runs/{last.run_id}",
        is_worse=is_loop,
    )


def _crashes(runs: Sequence[PipelineRun]) -> list[PipelineRun]:
    """The failed runs since the last that ended well, without those before half an hour of calm."""
    crashes: list[PipelineRun] = []
    for run in runs:
        if run.status == "SUCCESS":
            crashes = []
        elif run.status == FAILED:
            crashes = [*crashes, run] if crashes and not _lived(run, CALM) else [run]
    return crashes


def _streak(crashes: Sequence[PipelineRun]) -> Sequence[PipelineRun]:
    """The newest of them that have failed without a healthy life in between."""
    begin = 0
    for number, (_, after) in enumerate(pairwise(crashes), start=1):
        if _lived(after, HEALTHY):
            begin = number
    return crashes[begin:]


def _lived(run: PipelineRun, long: timedelta) -> bool:
    return bool(run.started_at and run.ended_at and run.ended_at - run.started_at >= long)


def _of_sensor(name: str, ticks: Sequence[SensorTick], ui: str) -> Incident | None:
    failed: list[SensorTick] = []
    for tick in ticks:
        if not tick.error:
            break
        failed.append(tick)
    if len(failed) < 2 or failed[0].at - failed[-1].at < LASTING:
        return None
    return Incident(
        subject=f"sensor:{name}",
        since=failed[-1].at,
        severity=Severity.ERROR,
        title=f"{name} can't do its work",
        text=f"Its ticks fail: {failed[0].error}",
        link=f"{ui}/automation",
    )
