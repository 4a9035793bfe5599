"""Requests the repairs of incomplete sessions, starts their runs, and detects when they are finished."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from spark_streaming.contract.clock import now
from stock_assets.dagster_internals import newest_evaluations
from stock_assets.defs.sessions.conditions import SUMMARY_KEY
from stock_assets.defs.sessions.jobs import repair_gaps
from stock_assets.pipeline.completeness import SessionRepair
from stock_assets.pipeline.repair_policy import decide_repair
from stock_assets.pipeline.run_records import ACTIVE
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings
from stock_assets.sessions.repairs import finished_repairs, requested_repairs
from stock_assets.store import session_repairs

_CHECK = dg.AssetCheckKey(SUMMARY_KEY, "session_is_complete")
_ATTEMPT = "stocks/repair_attempt"  # the tag of runs that this sensor has started


@dg.sensor(
    job=repair_gaps,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts repair_gaps for the sessions that the newest session_is_complete has found incomplete, again with a "
        "growing pause while its runs fail. A session is repaired once: when the bars from the source are stored, the "
        "summary is made again."
    ),
)
def request_repairs(
    context: dg.SensorEvaluationContext,
    settings: InjectedSettings,
    influxdb: InfluxDBResource,
    postgres: PostgresResource,
) -> dg.SensorResult:
    """Request, start and finish repairs; the table `session_repair` holds the state across restarts.

    A cursor would save nothing: the newest evaluation is one row by an index, and its id is in that row.
    """
    engine, moment = postgres.engine, now()
    session_repairs.request_repairs(engine, _requested(context.instance))
    unfinished = session_repairs.read_repairs(engine, unfinished=True)
    finished = finished_repairs(settings, influxdb, unfinished.values(), moment)
    for one in finished:
        context.log.info("%s", one)
    session_repairs.write_repairs(engine, [one.repair for one in finished])
    keys = {one.repair.key for one in finished}
    unasked = [repair for repair in unfinished.values() if repair.asked_at is None and repair.key not in keys]
    newest = max((repair.requested_at for repair in unasked), default=moment)
    active, ended = _runs(context.instance, newest) if unasked else (False, [])
    decision = decide_repair(len(unasked), is_active=active, ended=ended, now=moment)
    if decision.attempt is None:
        waiting = len(unfinished) - len(finished) - len(unasked)
        return dg.SensorResult(
            skip_reason=f"{decision.reason}; {len(finished)} are repaired, {waiting} wait to be stored"
        )
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"repair of {newest.isoformat()}, attempt {decision.attempt}",
                tags={"stocks/reason": decision.reason, _ATTEMPT: str(decision.attempt)},
            )
        ]
    )


def _requested(instance: DagsterInstance) -> list[SessionRepair]:
    """The repairs that the newest completed evaluation requires; one that was requested before keeps its row.

    While a run is about to evaluate the check, Dagster's newest record of it is that plan, without a result.
    """
    completed = newest_evaluations(instance, [_CHECK])
    if not completed or completed[0][0].passed:
        return []
    evaluation, evaluated_at = completed[0]
    details = evaluation.metadata.get("details")
    rows = [row.data for row in details.records] if isinstance(details, dg.TableMetadataValue) else []
    return requested_repairs(rows, evaluated_at)


def _runs(instance: DagsterInstance, since: datetime) -> tuple[bool, Sequence[datetime]]:
    """Whether a run of the job is active, and when those ended that this sensor has started since."""
    active = [DagsterRunStatus(status) for status in ACTIVE]
    is_active = instance.get_runs_count(RunsFilter(job_name=repair_gaps.name, statuses=active)) > 0
    records = instance.get_run_records(RunsFilter(job_name=repair_gaps.name, created_after=since))
    ended = [
        datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp
        for record in records
        if record.dagster_run.is_finished and _ATTEMPT in record.dagster_run.tags
    ]
    return is_active, ended
