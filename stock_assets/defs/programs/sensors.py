"""Keeps one producer and one stream running while there is work; records verdicts and runs, and sends notifications."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from spark_streaming.contract import clock, heartbeat, process_lock, program_control
from stock_assets.dagster_internals import fail_run
from stock_assets.defs.prices.jobs import publish_prices, stream_prices
from stock_assets.evaluations.quotes import quote_message_lag
from stock_assets.evaluations.stream_lag import message_lag
from stock_assets.operations.delivery import deliver_due_notifications
from stock_assets.operations.notify import SENSOR, write_new_notifications
from stock_assets.operations.program_runs import ALREADY_RUNNING_TAG
from stock_assets.operations.roles import JOB_OF, PROGRAM_OF
from stock_assets.operations.run_records import copy_runs, copy_verdicts
from stock_assets.operations.workers import worker_is_gone
from stock_assets.pipeline.desired_state import (
    FORGET_FAILURES,
    Action,
    ActiveRun,
    ObservedState,
    Role,
    RunDecision,
    desired_state,
    reconcile,
)
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage

_QUEUED = (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED)
_ACTIVE = (*_QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)


@dg.sensor(
    jobs=[publish_prices, stream_prices],
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Compares which programs should run (by coverage and by messages not stored yet) with Dagster's runs and "
        "with locks and heartbeats; starts, drains or fails runs, or waits. Stop it to stop the platform's work."
    ),
)
def run_programs(
    context: dg.SensorEvaluationContext, settings: InjectedSettings, kafka: KafkaResource, postgres: PostgresResource
) -> dg.SensorResult:
    """Gather the state, let `reconcile` decide, and act."""
    moment = clock.now()
    observed = {role: _observed(context.instance, settings, role, moment) for role in Role}
    due = make_source(settings).is_due(read_coverage(postgres.engine), moment)
    desired = desired_state(
        due, observed[Role.PRODUCER].locked, message_lag(settings, kafka) + quote_message_lag(settings, kafka)
    )
    decisions = reconcile(desired, observed, moment)
    for decision in decisions:
        _act(context, settings, decision)
    starts = [d for d in decisions if d.action is Action.START]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                job_name=JOB_OF[d.role], tags={"stocks/source": settings.source.value, "stocks/reason": d.reason}
            )
            for d in starts
        ],
        skip_reason=None if starts else "; ".join(f"{d.role}: {d.action}, {d.reason}" for d in decisions),
    )


def _observed(instance: DagsterInstance, settings: CodeLocationSettings, role: Role, now: datetime) -> ObservedState:
    records = instance.get_run_records(RunsFilter(job_name=JOB_OF[role], statuses=list(_ACTIVE)))
    failed = instance.get_run_records(
        RunsFilter(job_name=JOB_OF[role], statuses=[DagsterRunStatus.FAILURE], updated_after=now - FORGET_FAILURES),
        limit=20,
    )
    state = settings.state_of(PROGRAM_OF[role])
    locked = process_lock.is_locked(state)
    return ObservedState(
        runs=[_active(instance, record, now, look_for_worker=not locked) for record in records],
        locked=locked,
        heartbeat=heartbeat.read_heartbeat(state),
        failures=_crash_times(failed),
    )


def _active(instance: DagsterInstance, record: dg.RunRecord, now: datetime, *, look_for_worker: bool) -> ActiveRun:
    run = record.dagster_run
    if run.status in _QUEUED:  # no process yet
        return ActiveRun(run.run_id, now)
    return ActiveRun(run.run_id, _started(record), look_for_worker and worker_is_gone(instance, run.run_id))


def _started(record: dg.RunRecord) -> datetime:
    """When its process was started, which may be long after it was queued."""
    return datetime.fromtimestamp(record.start_time, UTC) if record.start_time else record.update_timestamp


def _crash_times(records: Sequence[dg.RunRecord]) -> list[datetime]:
    """When runs have crashed, without those that a running program's lock has refused."""
    return [
        datetime.fromtimestamp(r.end_time, UTC)
        for r in records
        if r.end_time and not r.dagster_run.tags.get(ALREADY_RUNNING_TAG)
    ]


def _act(context: dg.SensorEvaluationContext, settings: CodeLocationSettings, decision: RunDecision) -> None:
    if decision.action is Action.DRAIN:
        program_control.request_drain(settings.state_of(PROGRAM_OF[decision.role]))
    if decision.action is Action.KEEP:  # there is work again: an earlier request no longer holds
        program_control.clear_drain_request(settings.state_of(PROGRAM_OF[decision.role]))
    if decision.action is Action.FAIL:
        fail_run(context.instance, decision.run_id, decision.reason)
    if decision.action not in (Action.KEEP, Action.REST):
        context.log.info("%s: %s, %s", decision.role, decision.action, decision.reason)


@dg.sensor(
    name=SENSOR,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Copies the newest verdict of each check, and the runs, into PostgreSQL, where Grafana reads them. Notifies "
        "the addresses of NOTIFY_URLS once when something fails and once when it is resolved. A notification that "
        "can't be delivered fails the tick, and is retried."
    ),
)
def record_and_notify(
    context: dg.SensorEvaluationContext, settings: InjectedSettings, postgres: PostgresResource
) -> dg.SkipReason:
    """Copy new verdicts and runs, then write and deliver notifications.

    The cursor is the time of the newest update of a run that was copied.
    """
    definitions = context.repository_def
    if definitions is None:
        raise RuntimeError("Dagster gave this sensor no definitions, so it can't know the checks")
    engine, moment = postgres.engine, clock.now()
    copy_verdicts(context.instance, engine, definitions.asset_graph.asset_check_keys)
    # Not later than now: where the clock was set back, runs from now on have earlier times.
    since = min(datetime.fromisoformat(context.cursor), moment) if context.cursor else None
    newest = copy_runs(context.instance, engine, since)
    write_new_notifications(context.instance, engine, settings, moment)
    delivered = deliver_due_notifications(engine, settings, moment)
    context.update_cursor(min(newest, moment).isoformat() if newest else None)
    return dg.SkipReason(f"verdicts and runs are recorded, {delivered} notifications delivered")
