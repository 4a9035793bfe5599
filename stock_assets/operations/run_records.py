"""Copies the results of checks and runs from Dagster into PostgreSQL, for readers without access to Dagster."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance, RunsFilter
from sqlalchemy import Engine

from stock_assets.dagster_internals import ErrorOrigin, newest_evaluations, run_errors
from stock_assets.operations.names import JOBS
from stock_assets.operations.roles import JOB_OF
from stock_assets.pipeline.run_records import ACTIVE, FAILED, CheckVerdict, PipelineRun
from stock_assets.store.check_verdicts import write_verdicts
from stock_assets.store.pipeline_runs import delete_runs, read_runs, write_runs

_OVERLAP = timedelta(seconds=30)  # for runs that were being updated during the last copy
_FIRST_COPY = 500  # runs that are copied where none has been yet
_INTERRUPTED = "it was interrupted: the code server, or the run's own process, was ended"
_ROLE_OF = {job: role.value for role, job in JOB_OF.items()}


def copy_verdicts(instance: DagsterInstance, engine: Engine, checks: Iterable[dg.AssetCheckKey]) -> None:
    """Store the newest evaluation of each check, whether a sensor, a run or a person made it."""
    write_verdicts(engine, [_verdict(evaluation, at) for evaluation, at in newest_evaluations(instance, checks)])


def _verdict(evaluation: dg.AssetCheckEvaluation, recorded_at: datetime) -> CheckVerdict:
    tables = [value for value in evaluation.metadata.values() if isinstance(value, dg.TableMetadataValue)]
    return CheckVerdict(
        check_name=evaluation.check_name,
        asset=evaluation.asset_key.to_user_string(),
        severity=evaluation.severity.value,
        passed=evaluation.passed,
        summary=evaluation.description or "",
        rows=[dict(record.data) for table in tables for record in table.records],
        judged_at=recorded_at,
        since=recorded_at,
    )


def copy_runs(instance: DagsterInstance, engine: Engine, since: datetime | None) -> datetime | None:
    """Store the runs that were updated after `since`, and delete those that Dagster has no longer.

    Returns:
        The newest update that was seen (UTC): `since` of the next call.
    """
    stored = read_runs(engine)
    records = {record.dagster_run.run_id: record for record in _updated(instance, since)}
    open_runs = [run_id for run_id, run in stored.items() if run.status in ACTIVE and run_id not in records]
    unchanged = instance.get_run_records(RunsFilter(run_ids=open_runs)) if open_runs else []
    records |= {record.dagster_run.run_id: record for record in unchanged}
    delete_runs(engine, [run_id for run_id in open_runs if run_id not in records])
    rows = [_row(instance, record, stored.get(run_id)) for run_id, record in records.items()]
    write_runs(engine, [row for row in rows if row != stored.get(row.run_id)])
    return max((record.update_timestamp for record in records.values()), default=since)


def _updated(instance: DagsterInstance, since: datetime | None) -> list[dg.RunRecord]:
    if since is None:
        return list(instance.get_run_records(limit=_FIRST_COPY))
    return list(instance.get_run_records(RunsFilter(updated_after=since - _OVERLAP)))


def _row(instance: DagsterInstance, record: dg.RunRecord, stored: PipelineRun | None) -> PipelineRun:
    run = record.dagster_run
    summary = run.tags.get("stocks/reason", "")
    if run.status.value == FAILED:
        is_known = stored is not None and stored.status == FAILED
        summary = stored.summary if stored and is_known else failure_of(instance, run.run_id)
    return PipelineRun(
        run_id=run.run_id,
        role=_ROLE_OF.get(run.job_name),
        job=_job(run),
        status=run.status.value,
        created_at=record.create_timestamp,
        started_at=_utc(record.start_time),
        ended_at=_utc(record.end_time),
        summary=summary,
    )


def _job(run: dg.DagsterRun) -> str:
    """The job's name of today; of a run of no job of this code location, the assets or checks that were selected."""
    if not run.job_name.startswith("__"):
        return JOBS.get(run.job_name, run.job_name)
    assets = {key.to_user_string() for key in run.asset_selection or ()}
    checks = {key.name for key in run.asset_check_selection or ()}
    return ", ".join(sorted(assets or checks)) or run.job_name


def failure_of(instance: DagsterInstance, run_id: str) -> str:
    """Return why a run has failed, in one line: its last step's error, else the run's own, else that of its process."""
    newest = {error.origin: error for error in run_errors(instance, run_id)}
    error = next((newest[origin] for origin in ErrorOrigin if origin in newest), None)
    if error is None:
        return ""
    return _INTERRUPTED if error.is_interruption else " ".join(error.message.split())[:500]


def _utc(timestamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(timestamp, UTC) if timestamp else None
