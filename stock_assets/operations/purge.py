"""Deletes what is old of Dagster's history, so that storage stays bounded. The newest of each is kept.

Where Dagster has an interface for it, that is used; verdicts of sensors belong to no run, and are deleted by SQL.
"""

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import Engine, text

from stock_assets.pipeline.run_records import ACTIVE
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.notifications import delete_notifications
from stock_assets.store.run_records import delete_runs, read_runs

_ROWS = 1_000  # a transaction: nobody else waits for long
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]

# A materialization may be years old and still be what the asset, or one of its partitions, consists of.
_NEWEST_OF_ASSETS = """
    SELECT max(id) AS id FROM event_logs WHERE asset_key IS NOT NULL GROUP BY asset_key, partition, dagster_event_type
"""
_NEWEST_OF_CHECKS = """
    SELECT max(id) AS id FROM asset_check_executions
    GROUP BY asset_key, check_name, partition, execution_status = 'PLANNED'
"""
_OLD_VERDICTS = f"""
    DELETE FROM asset_check_executions WHERE id IN (
        SELECT id FROM asset_check_executions WHERE create_timestamp < :before AND id NOT IN ({_NEWEST_OF_CHECKS})
        ORDER BY id LIMIT :batch
    ) RETURNING evaluation_event_storage_id, run_id
"""  # noqa: S608 - constants
_OLD_EVENTS = f"""
    DELETE FROM event_logs WHERE id IN (
        SELECT id FROM event_logs
        WHERE run_id = '' AND timestamp < :before AND dagster_event_type <> 'ASSET_CHECK_EVALUATION'
        AND id NOT IN ({_NEWEST_OF_ASSETS})
        ORDER BY id LIMIT :batch
    )
"""  # noqa: S608
_RUNS_OF_THE_NEWEST = f"""
    SELECT DISTINCT run_id FROM event_logs JOIN ({_NEWEST_OF_ASSETS}) AS newest USING (id)
    UNION SELECT DISTINCT run_id FROM asset_check_executions JOIN ({_NEWEST_OF_CHECKS}) AS judged USING (id)
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Keep:
    """How long history is kept."""

    runs: timedelta  # with their events and logs
    verdicts: timedelta  # of checks
    ticks: timedelta

    @classmethod
    def from_settings(cls, settings: CodeLocationSettings) -> "Keep":
        """As the settings say."""
        days = settings.keep_runs_days, settings.keep_verdicts_days, settings.keep_ticks_days
        return cls(*(timedelta(days=number) for number in days))


def purge(
    instance: DagsterInstance, engine: Engine, keep: Keep, now: datetime, seconds: float, batch: int = _ROWS
) -> Counter[str]:
    """Delete what is older, `batch` rows at a time and for `seconds` at most; the rest is deleted the next time.

    Returns:
        Kind -> how many were deleted.
    """
    deadline, gone = time.monotonic() + seconds, Counter[str]()
    _purge_ticks(instance, now - keep.ticks)
    storage = instance.event_log_storage
    if not isinstance(storage, PostgresEventLogStorage):
        raise TypeError(f"Dagster's events lie in a {type(storage).__name__}; only those in PostgreSQL can be purged")
    while time.monotonic() < deadline and (count := _purge_verdicts(storage, now - keep.verdicts, batch)):
        gone["verdicts"] += count
    while time.monotonic() < deadline and (count := _purge_events(storage, now - keep.runs, batch)):
        gone["events"] += count
    with storage.index_transaction() as connection:
        needed = set(connection.execute(text(_RUNS_OF_THE_NEWEST)).scalars())
    for run_id in _old_runs(instance, needed, now - keep.runs):
        if time.monotonic() > deadline:
            break
        _delete_run(instance, run_id)
        gone["runs"] += 1
    old = [run for run in read_runs(engine).values() if run.status not in ACTIVE and run.created_at < now - keep.runs]
    delete_runs(engine, [run.run_id for run in old if not instance.has_run(run.run_id)])
    gone["messages"] += delete_notifications(engine, now - keep.runs)
    return gone


def _purge_ticks(instance: DagsterInstance, before: datetime) -> None:
    for state in instance.all_instigator_state():
        newest = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if newest:
            until = min(before.timestamp(), newest[0].timestamp)
            instance.purge_ticks(state.instigator_origin_id, state.selector_id, until)


def _purge_verdicts(storage: PostgresEventLogStorage, before: datetime, batch: int) -> int:
    values = {"before": before.replace(tzinfo=None), "batch": batch}
    with storage.index_transaction() as connection:
        gone = connection.execute(text(_OLD_VERDICTS), values).all()
        events = [row.evaluation_event_storage_id for row in gone if not row.run_id]  # a run's go with the run
        connection.execute(text("DELETE FROM event_logs WHERE id = ANY(:ids)"), {"ids": events})
    return len(gone)


def _purge_events(storage: PostgresEventLogStorage, before: datetime, batch: int) -> int:
    values = {"before": before.replace(tzinfo=None), "batch": batch}
    with storage.index_transaction() as connection:
        return connection.execute(text(_OLD_EVENTS), values).rowcount


def _old_runs(instance: DagsterInstance, needed: Collection[str], before: datetime) -> list[str]:
    """Runs that have ended before then, but not those that made what is there now, nor the newest of each job."""
    records = instance.get_run_records(RunsFilter(statuses=_ENDED, updated_before=before), ascending=True)
    jobs = {record.dagster_run.job_name for record in records}
    newest = {instance.get_runs(RunsFilter(job_name=job), limit=1)[0].run_id for job in jobs}
    old = [record.dagster_run.run_id for record in records]
    return [run_id for run_id in old if run_id not in needed and run_id not in newest]


def _delete_run(instance: DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    logs = instance.compute_log_manager
    if isinstance(logs, LocalComputeLogManager):
        logs.delete_logs(prefix=[run_id])
