"""Deletes old history of Dagster and of the tables, so that storage stays bounded. The newest of each kind is kept."""

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from sqlalchemy import Engine

from stock_assets.dagster_internals import (
    delete_run,
    purge_evaluations,
    purge_runless_events,
    purge_ticks,
    runs_of_newest_events,
)
from stock_assets.pipeline.run_records import ACTIVE
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.notifications import delete_notifications
from stock_assets.store.pipeline_runs import delete_runs, read_runs

_BATCH_ROWS = 1_000  # of a transaction, so that other transactions don't wait long
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """How long runs, the evaluations of checks and ticks are kept."""

    runs: timedelta  # with their events and logs
    verdicts: timedelta  # of checks
    ticks: timedelta

    @classmethod
    def from_settings(cls, settings: CodeLocationSettings) -> "RetentionPeriods":
        """Return the periods that the settings give."""
        days = settings.keep_runs_days, settings.keep_verdicts_days, settings.keep_ticks_days
        return cls(*(timedelta(days=number) for number in days))


def purge(
    instance: DagsterInstance,
    engine: Engine,
    retention: RetentionPeriods,
    now: datetime,
    seconds: float,
    batch: int = _BATCH_ROWS,
) -> Counter[str]:
    """Delete older history, `batch` rows at a time, for `seconds` at most; the next call deletes the rest.

    Returns:
        Kind -> how many were deleted.
    """
    deadline, deleted = time.monotonic() + seconds, Counter[str]()
    purge_ticks(instance, now - retention.ticks)
    while time.monotonic() < deadline and (count := purge_evaluations(instance, now - retention.verdicts, batch)):
        deleted["verdicts"] += count
    while time.monotonic() < deadline and (count := purge_runless_events(instance, now - retention.runs, batch)):
        deleted["events"] += count
    for run_id in _old_runs(instance, runs_of_newest_events(instance), now - retention.runs):
        if time.monotonic() > deadline:
            break
        delete_run(instance, run_id)
        deleted["runs"] += 1
    old = [
        run for run in read_runs(engine).values() if run.status not in ACTIVE and run.created_at < now - retention.runs
    ]
    delete_runs(engine, [run.run_id for run in old if not instance.has_run(run.run_id)])
    deleted["messages"] += delete_notifications(engine, now - retention.runs)
    return deleted


def _old_runs(instance: DagsterInstance, needed: Collection[str], before: datetime) -> list[str]:
    """Runs that ended before then, without those that are needed and without the newest of each job."""
    records = instance.get_run_records(RunsFilter(statuses=_ENDED, updated_before=before), ascending=True)
    jobs = {record.dagster_run.job_name for record in records}
    newest = {instance.get_runs(RunsFilter(job_name=job), limit=1)[0].run_id for job in jobs}
    old = [record.dagster_run.run_id for record in records]
    return [run_id for run_id in old if run_id not in needed and run_id not in newest]
