"""What Dagster knows of checks and runs, as rows for those who can't ask it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, RunsFilter
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.plan.objects import StepFailureData
from sqlalchemy import Engine

from stock_assets.operations.roles import JOB_OF
from stock_assets.pipeline.run_records import ACTIVE, FAILED, CheckVerdict, PipelineRun
from stock_assets.store.run_records import delete_runs, read_runs, write_runs, write_verdicts

_OVERLAP = timedelta(seconds=30)  # runs whose update was under way when they were last looked at
_AT_FIRST = 500  # runs that are taken over where none is written down yet
_FROM_OUTSIDE = "marked as failed from outside"  # Dagster's words for a run whose process is gone
_TELLING = (DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE, DagsterEventType.ENGINE_EVENT)
_ROLE_OF = {job: role.value for role, job in JOB_OF.items()}


def copy_verdicts(instance: DagsterInstance, engine: Engine, checks: Iterable[dg.AssetCheckKey]) -> None:
    """Write down the newest verdict of each check, whoever has judged: a sensor, a run, a person."""
    newest = instance.event_log_storage.get_asset_check_summary_records(list(checks)).values()
    records = [r.last_completed_check_execution_record for r in newest]
    write_verdicts(
        engine, [_verdict(r.evaluation, r.event.timestamp) for r in records if r and r.evaluation and r.event]
    )


def _verdict(said: dg.AssetCheckEvaluation, timestamp: float) -> CheckVerdict:
    judged_at = datetime.fromtimestamp(timestamp, UTC)
    tables = [value for value in said.metadata.values() if isinstance(value, dg.TableMetadataValue)]
    return CheckVerdict(
        check_name=said.check_name,
        asset=said.asset_key.to_user_string(),
        severity=said.severity.value,
        passed=said.passed,
        summary=said.description or "",
        rows=[dict(record.data) for table in tables for record in table.records],
        judged_at=judged_at,
        since=judged_at,
    )


def copy_runs(instance: DagsterInstance, engine: Engine, since: datetime | None) -> datetime | None:
    """Write down the runs that have changed since; returns from when on to look the next time."""
    known = read_runs(engine)
    records = {record.dagster_run.run_id: record for record in _changed(instance, since)}
    open_runs = [run_id for run_id, run in known.items() if run.status in ACTIVE and run_id not in records]
    still = instance.get_run_records(RunsFilter(run_ids=open_runs)) if open_runs else []
    records |= {record.dagster_run.run_id: record for record in still}
    delete_runs(engine, [run_id for run_id in open_runs if run_id not in records])
    rows = [_row(instance, record, known.get(run_id)) for run_id, record in records.items()]
    write_runs(engine, [row for row in rows if row != known.get(row.run_id)])
    return max((record.update_timestamp for record in records.values()), default=since)


def _changed(instance: DagsterInstance, since: datetime | None) -> list[dg.RunRecord]:
    if since is None:
        return list(instance.get_run_records(limit=_AT_FIRST))
    return list(instance.get_run_records(RunsFilter(updated_after=since - _OVERLAP)))


def _row(instance: DagsterInstance, record: dg.RunRecord, known: PipelineRun | None) -> PipelineRun:
    run = record.dagster_run
    summary = run.tags.get("stocks/reason", "")
    if run.status.value == FAILED:
        was_known = known is not None and known.status == FAILED
        summary = known.summary if known and was_known else failure_of(instance, run.run_id)
    return PipelineRun(
        run_id=run.run_id,
        role=_ROLE_OF.get(run.job_name),
        job=_job(run),
        status=run.status.value,
        created_at=record.create_timestamp,
        started_at=_moment(record.start_time),
        ended_at=_moment(record.end_time),
        summary=summary,
    )


def _job(run: dg.DagsterRun) -> str:
    """The job's name; Dagster calls runs that an automation or a person has asked for by no name of their own."""
    if not run.job_name.startswith("__"):
        return run.job_name
    assets = {key.to_user_string() for key in run.asset_selection or ()}
    checks = {key.name for key in run.asset_check_selection or ()}
    return ", ".join(sorted(assets or checks)) or run.job_name


def failure_of(instance: DagsterInstance, run_id: str) -> str:
    """Why a run has failed, in one line: the error of its step, else what was said of the run, or of its process."""
    kinds = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE, DagsterEventType.ENGINE_EVENT}
    entries = [record.event_log_entry for record in instance.get_records_for_run(run_id, of_type=kinds).records]
    said: dict[DagsterEventType, str] = {}
    for event in (entry.dagster_event for entry in entries if entry.dagster_event):
        of_step = event.event_type is DagsterEventType.STEP_FAILURE
        text = _of_step(event.step_failure_data) if of_step else event.message or ""
        if text and _FROM_OUTSIDE not in text:
            said[event.event_type] = _line(text)
    return next((said[kind] for kind in _TELLING if kind in said), "")


def _of_step(failed: StepFailureData) -> str:
    error = failed.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is not None and DagsterExecutionInterruptedError.__name__ in error.message:
        return "it was interrupted: the code server, or the run's own process, was ended"
    if failed.user_failure_data and failed.user_failure_data.description:
        return failed.user_failure_data.description
    return error.message if error else ""


def _line(text: str) -> str:
    return " ".join(text.split())[:500]


def _moment(timestamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(timestamp, UTC) if timestamp else None
