"""The table `pipeline_run`: Dagster's runs, for readers without access to Dagster."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Engine, delete, select

from stock_assets.pipeline.run_records import PipelineRun
from stock_assets.store.tables import pipeline_run
from stock_assets.store.upsert import upsert


def read_runs(engine: Engine) -> dict[str, PipelineRun]:
    """Run id -> its row, the newest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(pipeline_run).order_by(pipeline_run.c.created_at.desc())).mappings().all()
    return {row["run_id"]: PipelineRun(**row) for row in rows}


def write_runs(engine: Engine, runs: Sequence[PipelineRun]) -> None:
    """Insert or replace the row of each run."""
    upsert(engine, pipeline_run, [asdict(run) for run in runs])


def delete_runs(engine: Engine, run_ids: Sequence[str]) -> None:
    """Delete the rows of runs."""
    if run_ids:
        with engine.begin() as connection:
            connection.execute(delete(pipeline_run).where(pipeline_run.c.run_id.in_(run_ids)))
