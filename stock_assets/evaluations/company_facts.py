"""Whether every symbol has its company facts, as far as they can be had by now."""

from collections.abc import Sequence
from datetime import datetime

from stock_assets.evaluations.evaluation import Cell, Evaluation
from stock_assets.pipeline.company_facts import missing_facts
from stock_assets.pipeline.coverage import UNKNOWN_SYMBOL
from stock_assets.resources.postgres import PostgresResource
from stock_assets.store.companies import read_companies
from stock_assets.store.coverage import read_coverage
from stock_assets.store.watchlist import read_added


def evaluate_company_facts(
    symbols: Sequence[str], postgres: PostgresResource, run_began_at: datetime | None, now: datetime
) -> Evaluation:
    """Evaluate whether each of the symbols has a row, if a run has had the time to fetch it.

    `run_began_at` is when the newest run began that has fetched facts (UTC), None where there was none.
    """
    engine = postgres.engine
    rows = {row["symbol"]: row for row in read_companies(engine)}
    unknown = {row.symbol for row in read_coverage(engine) if row.last_answer.startswith(UNKNOWN_SYMBOL)}
    without_row = [symbol for symbol in symbols if symbol not in rows and symbol not in unknown]
    found = missing_facts(without_row, read_added(engine), run_began_at, now)
    summary = f"no row of {', '.join(found.missing)}" if found.missing else "every symbol has a row"
    if found.awaited:
        summary += f"; {', '.join(found.awaited)}: added lately, the next run fetches the facts"
    if named := [symbol for symbol in symbols if symbol in unknown]:
        summary += f"; the source knows no symbol {', '.join(named)}"
    table: list[dict[str, Cell]] = [
        {"symbol": symbol, "unknown": ", ".join(name for name, value in row.items() if value is None)}
        for symbol, row in rows.items()
    ]
    return Evaluation("company_facts_are_complete", not found.missing, summary, table, {})
