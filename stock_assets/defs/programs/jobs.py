"""The job that deletes old history."""

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.operations.purge import RetentionPeriods, purge
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings

_PURGE_SECONDS = 120  # of a run; what is left is deleted by the next one


@dg.op(description="Deletes a bounded part of what is old, in small transactions.")
def delete_old_history(context: dg.OpExecutionContext, settings: InjectedSettings, postgres: PostgresResource) -> None:
    """Delete old ticks, evaluations, events, runs and notifications; logs how many of each."""
    deleted = purge(context.instance, postgres.engine, RetentionPeriods.from_settings(settings), now(), _PURGE_SECONDS)
    shown = ", ".join(f"{number:,} {kind}" for kind, number in deleted.items() if number)
    context.log.info("deleted: %s", shown or "nothing is old enough")


@dg.job(
    description=(
        "Deletes what is older than KEEP_RUNS_DAYS, KEEP_VERDICTS_DAYS and KEEP_TICKS_DAYS. The newest run of each "
        "job, evaluation of each check and materialization of each asset and partition stay."
    ),
)
def purge_history() -> None:
    """One op."""
    delete_old_history()
