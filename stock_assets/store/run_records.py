"""The tables `check_verdict` and `pipeline_run`: what others than Dagster are told of checks and runs."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Engine, delete, select

from stock_assets.pipeline.run_records import CheckVerdict, PipelineRun, keep_since
from stock_assets.store.tables import check_verdict, pipeline_run
from stock_assets.store.upsert import upsert


def read_verdicts(engine: Engine) -> dict[str, CheckVerdict]:
    """Check name -> its newest verdict."""
    with engine.connect() as connection:
        rows = connection.execute(select(check_verdict)).mappings().all()
    return {row["check_name"]: CheckVerdict(**row) for row in rows}


def write_verdicts(engine: Engine, verdicts: Sequence[CheckVerdict]) -> None:
    """Keep these as the newest; `since` stays where a verdict is what it was. For one writer at a time."""
    before = read_verdicts(engine)
    upsert(engine, check_verdict, [asdict(keep_since(before.get(v.check_name), v)) for v in verdicts])


def read_runs(engine: Engine) -> dict[str, PipelineRun]:
    """Run id -> its row, the newest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(pipeline_run).order_by(pipeline_run.c.created_at.desc())).mappings().all()
    return {row["run_id"]: PipelineRun(**row) for row in rows}


def write_runs(engine: Engine, runs: Sequence[PipelineRun]) -> None:
    """Insert or replace the row of each run."""
    upsert(engine, pipeline_run, [asdict(run) for run in runs])


def delete_runs(engine: Engine, run_ids: Sequence[str]) -> None:
    """Delete the rows of runs that Dagster knows no longer."""
    if run_ids:
        with engine.begin() as connection:
            connection.execute(delete(pipeline_run).where(pipeline_run.c.run_id.in_(run_ids)))
