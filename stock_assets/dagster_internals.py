"""The one place that uses what Dagster does not document: its `_core` package, private attributes, its own tables.

A test of this file's own calls each function against the installed Dagster on PostgreSQL.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from multiprocessing.context import BaseContext
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData, TickStatus
from dagster_postgres import PostgresEventLogStorage
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy import Connection, text

# A materialization may be years old and still be what the asset, or one of its partitions, consists of.
_NEWEST_OF_ASSETS = """
    SELECT max(id) AS id FROM event_logs WHERE asset_key IS NOT NULL GROUP BY asset_key, partition, dagster_event_type
"""
_NEWEST_OF_CHECKS = """
    SELECT max(id) AS id FROM asset_check_executions
    GROUP BY asset_key, check_name, partition, execution_status = 'PLANNED'
"""
_OLD_EVALUATIONS = f"""
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
    UNION SELECT DISTINCT run_id FROM asset_check_executions JOIN ({_NEWEST_OF_CHECKS}) AS evaluated USING (id)
"""  # noqa: S608

_MARKED_FROM_OUTSIDE = "marked as failed from outside"  # Dagster's message about a run whose process is gone


@dataclass(frozen=True, slots=True)
class InstigatorTick:
    """One evaluation of a sensor or schedule that has ended."""

    began_at: datetime  # UTC
    ended_at: datetime
    error: str  # in one line; empty where it succeeded


class ErrorOrigin(StrEnum):
    """Which of Dagster's events reports an error."""

    STEP = "step"
    RUN = "run"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class RunError:
    """An error that Dagster has recorded of a run."""

    origin: ErrorOrigin
    message: str
    is_interruption: bool = False  # the process of the run, or the code server, was ended


def allow_unreported_assets(context: dg.OpExecutionContext) -> None:
    """Pipes requires a report on each asset of a step, skippable or not; this step may now omit some."""
    context.get_step_execution_context()._requires_typed_event_stream = False


def serve_definitions(module: str, host: str, port: int, context: BaseContext) -> None:
    """Do as `dagster api grpc`, with another way to start the processes of runs: that of `context`."""
    from dagster._cli import cli
    from dagster._grpc.server import DagsterApiServer

    initialise = DagsterApiServer.__init__

    def with_context(server: DagsterApiServer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Dagster's own
        initialise(server, *args, **kwargs)
        server._mp_ctx = context  # type: ignore[assignment]

    DagsterApiServer.__init__ = with_context  # type: ignore[assignment, method-assign]
    cli(["api", "grpc", "-m", module, "--host", host, "--port", str(port)])


def newest_evaluations(
    instance: DagsterInstance, checks: Iterable[dg.AssetCheckKey]
) -> list[tuple[dg.AssetCheckEvaluation, datetime]]:
    """Return the newest completed evaluation of each check that has one, and when it was recorded (UTC)."""
    found = instance.event_log_storage.get_asset_check_summary_records(list(checks)).values()
    records = [summary.last_completed_check_execution_record for summary in found]
    return [
        (record.evaluation, _utc(record.event.timestamp))
        for record in records
        if record and record.evaluation and record.event
    ]


def run_errors(instance: DagsterInstance, run_id: str) -> list[RunError]:
    """Return the errors of a run, its steps and its process in the order in which they were recorded."""
    origins = {
        DagsterEventType.STEP_FAILURE: ErrorOrigin.STEP,
        DagsterEventType.RUN_FAILURE: ErrorOrigin.RUN,
        DagsterEventType.ENGINE_EVENT: ErrorOrigin.ENGINE,
    }
    entries = [r.event_log_entry for r in instance.get_records_for_run(run_id, of_type=set(origins)).records]
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    errors = [
        _step_error(event.step_failure_data)
        if event.event_type is DagsterEventType.STEP_FAILURE
        else RunError(origins[event.event_type], event.message or "")
        for event in events
    ]
    return [error for error in errors if error.message and _MARKED_FROM_OUTSIDE not in error.message]


def _step_error(failed: StepFailureData) -> RunError:
    message = _root_cause(failed.error)
    if DagsterExecutionInterruptedError.__name__ in message:
        return RunError(ErrorOrigin.STEP, message, is_interruption=True)
    if failed.user_failure_data and failed.user_failure_data.description:
        return RunError(ErrorOrigin.STEP, failed.user_failure_data.description)
    return RunError(ErrorOrigin.STEP, message)


def worker_pid(instance: DagsterInstance, run_id: str) -> int | None:
    """Return the process id of a run's worker; None where Dagster has not recorded it."""
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records
    found = [
        int(str(event.engine_event_data.metadata["pid"].value))
        for record in records
        if (event := record.event_log_entry.dagster_event) and "pid" in event.engine_event_data.metadata
    ]
    return found[-1] if found else None


def fail_run(instance: DagsterInstance, run_id: str, reason: str) -> None:
    """Mark a run that has not ended as failed, and free the slots of the pools that it held."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, reason)
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def ticks_of_running(
    instance: DagsterInstance, limit: int | None = None, since: datetime | None = None
) -> dict[str, list[InstigatorTick]]:
    """Return `sensor:NAME` or `schedule:NAME` -> its ended ticks, newest first; stopped ones are left out.

    At most `limit` of each, begun after `since`. What has never been evaluated is left out.
    """
    after = since.timestamp() if since else None
    return {
        f"{state.instigator_type.value.lower()}:{state.instigator_name}": [
            InstigatorTick(
                _utc(tick.timestamp), _utc(tick.end_timestamp or tick.timestamp), _one_line(_root_cause(tick.error))
            )
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, after=after, limit=limit)
            if tick.status is not TickStatus.STARTED
        ]
        for state in instance.all_instigator_state()
        if state.status is not InstigatorStatus.STOPPED
    }


def rename_sensor(instance: DagsterInstance, old: str, new: str) -> None:
    """Give a sensor's record, with its cursor and whether a person has stopped it, to its new name.

    A record that the new name has already stays, but is stopped where the old one is. The ticks of the old name are
    deleted: nothing shows them any more.
    """
    before, after = _record(instance, old), _record(instance, new)
    if before is None:
        return
    if after is None:
        origin = before.origin._replace(instigator_name=new)
        instance.add_instigator_state(
            InstigatorState(origin, before.instigator_type, before.status, before.instigator_data)
        )
    elif before.status is InstigatorStatus.STOPPED:
        instance.update_instigator_state(after.with_status(before.status))
    _delete_record(instance, before)


def replace_sensor_by_schedule(instance: DagsterInstance, sensor: str, schedule: str, cron_schedule: str) -> None:
    """Delete a sensor's record; where a person has stopped it, the schedule is stopped instead."""
    before = _record(instance, sensor)
    if before is None:
        return
    if before.status is InstigatorStatus.STOPPED and _record(instance, schedule) is None:
        origin, data = before.origin._replace(instigator_name=schedule), ScheduleInstigatorData(cron_schedule)
        instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, before.status, data))
    _delete_record(instance, before)


def purge_ticks(instance: DagsterInstance, before: datetime) -> None:
    """Delete ticks that are older; the newest of each sensor and schedule stays."""
    for state in instance.all_instigator_state():
        newest = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if newest:
            until = min(before.timestamp(), newest[0].timestamp)
            instance.purge_ticks(state.instigator_origin_id, state.selector_id, until)


def purge_evaluations(instance: DagsterInstance, before: datetime, batch: int) -> int:
    """Delete at most `batch` evaluations of checks that are older; the newest of each check stays.

    Returns:
        How many were deleted.
    """
    with _event_log(instance) as connection:
        deleted = connection.execute(text(_OLD_EVALUATIONS), _older(before, batch)).all()
        events = [row.evaluation_event_storage_id for row in deleted if not row.run_id]  # a run's go with the run
        connection.execute(text("DELETE FROM event_logs WHERE id = ANY(:ids)"), {"ids": events})
    return len(deleted)


def purge_runless_events(instance: DagsterInstance, before: datetime, batch: int) -> int:
    """Delete at most `batch` events that are older and belong to no run; the newest of each asset and partition stays.

    Returns:
        How many were deleted.
    """
    with _event_log(instance) as connection:
        return connection.execute(text(_OLD_EVENTS), _older(before, batch)).rowcount


def runs_of_newest_events(instance: DagsterInstance) -> set[str]:
    """Return the runs that hold the newest event of an asset or partition, or the newest evaluation of a check."""
    with _event_log(instance) as connection:
        return set(connection.execute(text(_RUNS_OF_THE_NEWEST)).scalars())


def delete_run(instance: DagsterInstance, run_id: str) -> None:
    """Delete a run with its events and the logs of its steps."""
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])


@contextmanager
def _event_log(instance: DagsterInstance) -> Iterator[Connection]:
    storage = instance.event_log_storage
    if not isinstance(storage, PostgresEventLogStorage):
        raise TypeError(f"Dagster's events are in a {type(storage).__name__}; only those in PostgreSQL can be purged")
    with storage.index_transaction() as connection:
        yield connection


def _older(before: datetime, batch: int) -> Mapping[str, object]:
    return {"before": before.astimezone(UTC).replace(tzinfo=None), "batch": batch}


def _record(instance: DagsterInstance, name: str) -> InstigatorState | None:
    return next((state for state in instance.all_instigator_state() if state.instigator_name == name), None)


def _delete_record(instance: DagsterInstance, state: InstigatorState) -> None:
    instance.purge_ticks(state.instigator_origin_id, state.selector_id, datetime.now(UTC).timestamp() + 1)
    instance.delete_instigator_state(state.instigator_origin_id, state.selector_id)


def _root_cause(error: SerializableErrorInfo | None) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message if error else ""


def _one_line(message: str) -> str:
    return " ".join(message.split())[:500]


def _utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
