"""The check of the company facts."""

from collections.abc import Iterable

import dagster as dg

from stock_assets.defs.company.assets import STOCK_INFO_KEY
from stock_assets.pipeline.coverage import UNKNOWN_SYMBOL, Coverage
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import code_location
from stock_assets.sources.factory import make_source
from stock_assets.store.companies import read_companies
from stock_assets.store.coverage import read_coverage


@dg.asset_check(
    asset=STOCK_INFO_KEY,
    description=(
        "Every symbol that the source knows has a row; which facts it lacks is told, and is no error: the source may "
        "not have them."
    ),
)
def company_facts_are_complete(postgres: PostgresResource) -> dg.AssetCheckResult:
    """Look for symbols without a row, and for facts that are not known."""
    rows = {row["symbol"]: row for row in read_companies(postgres.engine)}
    symbols, resting = make_source(code_location()).symbols, _resting(read_coverage(postgres.engine))
    without = [symbol for symbol in symbols if symbol not in rows and symbol not in resting]
    summary = f"no row of {', '.join(without)}" if without else "every symbol has a row"
    if unknown := [symbol for symbol in symbols if symbol in resting]:
        summary += f"; the source knows no symbol {', '.join(unknown)}"
    records = [
        dg.TableRecord({"symbol": symbol, "unknown": ", ".join(name for name, value in row.items() if value is None)})
        for symbol, row in rows.items()
    ]
    return dg.AssetCheckResult(
        passed=not without,
        description=summary,
        metadata={"summary": summary, **({"details": dg.MetadataValue.table(records)} if records else {})},
    )


def _resting(rows: Iterable[Coverage]) -> set[str]:
    """Symbols that the source doesn't know, or no longer: there are no facts to be had."""
    return {row.symbol for row in rows if row.last_answer.startswith(UNKNOWN_SYMBOL)}
