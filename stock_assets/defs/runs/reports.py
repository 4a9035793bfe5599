"""Writes down, each half minute, what checks and runs say, where others than Dagster can read it."""

from datetime import datetime

import dagster as dg

from stock_assets.defs.runs.records import copy_runs, copy_verdicts
from stock_assets.resources.postgres import PostgresResource


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Copies the newest verdict of each check, and the runs, into PostgreSQL, where Grafana reads them.",
)
def report_what_happens(context: dg.SensorEvaluationContext, postgres: PostgresResource) -> dg.SkipReason:
    """Copy what is new."""
    definitions = context.repository_def
    if definitions is None:
        raise RuntimeError("Dagster gave this sensor no definitions, so it can't know the checks")
    copy_verdicts(context.instance, postgres.engine, definitions.asset_graph.asset_check_keys)
    since = datetime.fromisoformat(context.cursor) if context.cursor else None
    newest = copy_runs(context.instance, postgres.engine, since)
    context.update_cursor(newest.isoformat() if newest else None)
    return dg.SkipReason("verdicts and runs are written down")
