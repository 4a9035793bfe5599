"""When old history is deleted."""

import dagster as dg

from stock_assets.defs.programs.jobs import purge_history
from stock_assets.operations.names import PURGE_CRON, PURGE_SCHEDULE

purge_history_schedule = dg.ScheduleDefinition(
    name=PURGE_SCHEDULE,
    job=purge_history,
    cron_schedule=PURGE_CRON,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Runs purge_history each hour.",
)
