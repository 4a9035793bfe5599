"""Writes down what checks and runs say, tells people what goes wrong, and deletes what is old."""

from datetime import datetime

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.operations.notify import SENSOR, deliver_due_notifications, write_new_notifications
from stock_assets.operations.purge import Keep, purge
from stock_assets.operations.run_records import copy_runs, copy_verdicts
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import code_location

_PURGE_SECONDS = 30  # of a tick: Dagster cuts it off after 60


@dg.sensor(
    name=SENSOR,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Copies the newest verdict of each check, and the runs, into PostgreSQL, where Grafana reads them, and tells "
        "NOTIFY_URLS once what has failed and once when it is over. A message that can't be delivered makes the tick "
        "fail, and is tried again."
    ),
)
def record_and_notify(context: dg.SensorEvaluationContext, postgres: PostgresResource) -> dg.SkipReason:
    """Copy what is new, and tell what has changed."""
    definitions = context.repository_def
    if definitions is None:
        raise RuntimeError("Dagster gave this sensor no definitions, so it can't know the checks")
    settings, engine, moment = code_location(), postgres.engine, now()
    copy_verdicts(context.instance, engine, definitions.asset_graph.asset_check_keys)
    # No later than now: where the clock was set back, what fails from now on has an earlier time.
    since = min(datetime.fromisoformat(context.cursor), moment) if context.cursor else None
    newest = copy_runs(context.instance, engine, since)
    write_new_notifications(context.instance, engine, settings, moment)
    delivered = deliver_due_notifications(engine, settings, moment)
    context.update_cursor(min(newest, moment).isoformat() if newest else None)
    return dg.SkipReason(f"verdicts and runs are written down, {delivered} messages delivered")


@dg.sensor(
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Deletes, each hour, what is older than KEEP_RUNS_DAYS, KEEP_VERDICTS_DAYS and KEEP_TICKS_DAYS. The newest run "
        "of each job, verdict of each check and materialization of each asset and partition stay."
    ),
)
def purge_history(context: dg.SensorEvaluationContext, postgres: PostgresResource) -> dg.SkipReason:
    """Delete what is old, a bounded part at a time."""
    gone = purge(context.instance, postgres.engine, Keep.from_settings(code_location()), now(), _PURGE_SECONDS)
    deleted = ", ".join(f"{number:,} {kind}" for kind, number in gone.items() if number)
    return dg.SkipReason(f"deleted: {deleted or 'nothing is old enough'}")
