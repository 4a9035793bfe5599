"""The check of the company facts."""

import dagster as dg

from stock_assets.defs.company.assets import STOCK_INFO_KEY
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import code_location
from stock_assets.sources.choose import source_of
from stock_assets.store.companies import read_companies


@dg.asset_check(
    asset=STOCK_INFO_KEY,
    description="Every symbol has a row; which facts it lacks is told, and is no error: the source may not have them.",
)
def company_facts_are_complete(postgres: PostgresResource) -> dg.AssetCheckResult:
    """Look for symbols without a row, and for facts that are not known."""
    rows = {row["symbol"]: row for row in read_companies(postgres.engine)}
    symbols = source_of(code_location()).symbols
    without = [symbol for symbol in symbols if symbol not in rows]
    summary = f"no row of {', '.join(without)}" if without else f"all {len(symbols)} symbols have a row"
    records = [
        dg.TableRecord({"symbol": symbol, "unknown": ", ".join(name for name, value in row.items() if value is None)})
        for symbol, row in rows.items()
    ]
    return dg.AssetCheckResult(
        passed=not without,
        description=summary,
        metadata={"summary": summary, **({"details": dg.MetadataValue.table(records)} if records else {})},
    )
