"""Facts about the companies, in PostgreSQL."""

import dagster as dg

from spark_streaming.contract.lifecycle import now
from stock_assets.market.bars import CompanyInfo
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import code_location
from stock_assets.sources.choose import source_of
from stock_assets.sources.protocol import BarSource, SourceError
from stock_assets.store.companies import read_companies, write_companies

STOCK_INFO_KEY = dg.AssetKey(["postgres", "stock_info"])
COMPANY_KEY = dg.AssetKey(["postgres", "company"])

# Half an hour after New York's regular close, when the day's figures have settled.
_AFTER_THE_CLOSE = dg.AutomationCondition.on_cron("30 16 * * 1-5", "America/New_York")
# on_missing() would wait for a row to go missing again: on the first start there has never been one.
_ON_THE_FIRST_START = dg.AutomationCondition.initial_evaluation() & dg.AutomationCondition.missing()


@dg.asset(
    key=STOCK_INFO_KEY,
    group_name="company",
    kinds={"postgres", "python"},
    automation_condition=_AFTER_THE_CLOSE | _ON_THE_FIRST_START,
    retry_policy=dg.RetryPolicy(max_retries=3, delay=20, backoff=dg.Backoff.EXPONENTIAL),
    description=(
        "What is known of each company, a row a symbol and day of its exchange; null where the source knows nothing. "
        "A second run on a day updates its rows."
    ),
)
def stock_info(context: dg.AssetExecutionContext, postgres: PostgresResource) -> dg.MaterializeResult[None]:
    """Ask the source about its symbols and keep what it says."""
    companies, failed = _ask(source_of(code_location()))
    write_companies(postgres.engine, companies)
    context.log.info("wrote %d rows", len(companies))
    if failed:  # those that are there are kept; Dagster asks again
        raise dg.Failure(description=failed, metadata={"rows_written": len(companies)})
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(companies),
            "symbols": ", ".join(company.symbol for company in companies),
            "entry_date": max((company.entry_date.isoformat() for company in companies), default="none"),
        }
    )


def _ask(source: BarSource) -> tuple[list[CompanyInfo], str]:
    """What is known of the companies, and which could not be had: one's failure costs no other's row."""
    companies: list[CompanyInfo] = []
    try:
        companies.extend(source.companies(now()))
    except SourceError as error:
        return companies, str(error)
    return companies, ""


@dg.asset(
    key=COMPANY_KEY,
    deps=[STOCK_INFO_KEY],
    group_name="company",
    kinds={"postgres", "view"},
    automation_condition=dg.AutomationCondition.eager(),
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
