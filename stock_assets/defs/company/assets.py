"""Facts about the companies, and what happened to their shares, in PostgreSQL."""

import time
from datetime import timedelta
from typing import Any, TypeVar

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.operations.asset_metadata import column_schema
from stock_assets.pipeline.company_facts import RUN_CRON, RUN_ZONE
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings
from stock_assets.sources.factory import make_source
from stock_assets.sources.retries import FetchResult, fetch_with_retries
from stock_assets.store import tables
from stock_assets.store.companies import read_companies, write_companies
from stock_assets.store.corporate_actions import write_actions
from stock_assets.store.source_stats import count_answers

STOCK_INFO_KEY = dg.AssetKey(["postgres", "stock_info"])
ACTIONS_KEY = dg.AssetKey(["postgres", "corporate_action"])
COMPANY_KEY = dg.AssetKey(["postgres", "company"])

_AFTER_THE_CLOSE = dg.AutomationCondition.on_cron(RUN_CRON, RUN_ZONE)
# on_missing() would wait for a row to go missing again: on the first start there has never been one.
_ON_THE_FIRST_START = dg.AutomationCondition.initial_evaluation() & dg.AutomationCondition.missing()
# For a database that is away; symbols that failed are asked for again within the run.
_RETRY = dg.RetryPolicy(max_retries=3, delay=20, backoff=dg.Backoff.EXPONENTIAL)
# A backstop over a weekend: from Friday's run to Monday's are three days, and a run that failed has another day.
_FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=4))

T = TypeVar("T")


@dg.asset(
    key=STOCK_INFO_KEY,
    group_name="company",
    kinds={"postgres", "python"},
    automation_condition=_AFTER_THE_CLOSE | _ON_THE_FIRST_START,
    retry_policy=_RETRY,
    freshness_policy=_FRESHNESS,
    metadata={"dagster/column_schema": column_schema(tables.stock_info)},
    description=(
        "The facts about each company, one row per symbol and day of its exchange; null where the source has no value. "
        "A second run on a day updates its rows."
    ),
)
def stock_info(
    context: dg.AssetExecutionContext, settings: InjectedSettings, postgres: PostgresResource
) -> dg.MaterializeResult[None]:
    """Fetch the facts of the source's symbols and store them; only symbols that failed are fetched again."""
    source, engine = make_source(settings), postgres.engine
    asked = fetch_with_retries(
        fetch=lambda symbols: source.companies(symbols, now()),
        symbols=source.symbols,
        store=lambda company: write_companies(engine, [company]),
        sleep=time.sleep,
    )
    count_answers(engine, "company", asked.answers, now())
    context.log.info("wrote %d rows", len(asked.found))
    return _result(
        asked,
        {
            "dagster/row_count": len(asked.found),
            "symbols": ", ".join(company.symbol for company in asked.found),
            "entry_date": max((company.entry_date.isoformat() for company in asked.found), default="none"),
        },
    )


@dg.asset(
    key=ACTIONS_KEY,
    group_name="company",
    kinds={"postgres", "python"},
    automation_condition=_AFTER_THE_CLOSE | _ON_THE_FIRST_START,
    retry_policy=_RETRY,
    freshness_policy=_FRESHNESS,
    metadata={"dagster/column_schema": column_schema(tables.corporate_action)},
    description=(
        "Splits and dividends, as declared: prices are stored unadjusted. The view adjustment_factor has the factor "
        "of the prices of a day. The producer adds what comes with its bars; this fetches the last year."
    ),
)
def corporate_action(
    context: dg.AssetExecutionContext, settings: InjectedSettings, postgres: PostgresResource
) -> dg.MaterializeResult[None]:
    """Ask the source for the splits and dividends of its symbols."""
    source, engine = make_source(settings), postgres.engine
    asked = fetch_with_retries(
        fetch=lambda symbols: source.actions(symbols, now()),
        symbols=source.symbols,
        store=lambda actions: write_actions(engine, actions),
        sleep=time.sleep,
    )
    count_answers(engine, "actions", asked.answers, now())
    rows = sum(len(actions) for actions in asked.found)
    context.log.info("wrote %d rows", rows)
    return _result(asked, {"dagster/row_count": rows})


def _result(asked: FetchResult[T], metadata: dict[str, Any]) -> dg.MaterializeResult[None]:
    """The run's metadata; a symbol that the source doesn't know is named there, and fails nothing.

    Raises:
        dagster.Failure: some could not be fetched; the others are stored.
    """
    outcome = {"answers": dg.MetadataValue.json(dict(asked.answers))}
    if asked.failures:
        outcome["refused"] = dg.MetadataValue.json({failure.symbol: failure.reason for failure in asked.failures})
    failed = [failure for failure in asked.failures if not failure.is_final]
    if failed:
        described = "could not be fetched: " + "; ".join(failure.reason for failure in failed)
        raise dg.Failure(described, metadata=metadata | outcome, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata | outcome)


@dg.asset(
    key=COMPANY_KEY,
    deps=[STOCK_INFO_KEY],
    group_name="company",
    kinds={"postgres", "view"},
    automation_condition=dg.AutomationCondition.eager(),
    freshness_policy=_FRESHNESS,
    metadata={"dagster/column_schema": column_schema(tables.stock_info)},
    description="The newest row of each symbol of stock_info: a view, so it is never behind.",
)
def company(postgres: PostgresResource) -> dg.MaterializeResult[None]:
    """Report what the view shows now."""
    rows = read_companies(postgres.engine)
    shown = ("symbol", "longname", "sector", "currency", "exchange")
    records = [dg.TableRecord({name: str(row[name] or "") for name in shown}) for row in rows]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            **({"companies": dg.MetadataValue.table(records)} if records else {}),
        }
    )
