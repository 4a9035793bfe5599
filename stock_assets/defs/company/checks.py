"""The check of the company facts."""

from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterInstance

from spark_streaming.contract.clock import now
from stock_assets.defs.company.assets import STOCK_INFO_KEY
from stock_assets.evaluations.company_facts import evaluate_company_facts
from stock_assets.evaluations.dagster_results import check_result
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings
from stock_assets.sources.factory import make_source


@dg.asset_check(
    asset=STOCK_INFO_KEY,
    description=(
        "Every symbol that the source knows has a row, once a run has had the time to fetch it; which facts it lacks "
        "is shown and is no error: the source may not have them."
    ),
)
def company_facts_are_complete(
    context: dg.AssetCheckExecutionContext, settings: InjectedSettings, postgres: PostgresResource
) -> dg.AssetCheckResult:
    """Find symbols without a row, and facts that are missing."""
    symbols = make_source(settings).symbols
    return check_result(evaluate_company_facts(symbols, postgres, _newest_run_began_at(context.instance), now()))


def _newest_run_began_at(instance: DagsterInstance) -> datetime | None:
    """When the run was created that has fetched facts last (UTC): it asked for every symbol that was watched then."""
    event = instance.get_latest_materialization_event(STOCK_INFO_KEY)
    if event is None:
        return None
    record = instance.get_run_record_by_id(event.run_id)
    return record.create_timestamp if record else datetime.fromtimestamp(event.timestamp, UTC)
