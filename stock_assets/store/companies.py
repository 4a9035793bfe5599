"""The table `stock_info` and its newest rows, `company`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.dialects.postgresql import insert

from stock_assets.market.bars import CompanyInfo
from stock_assets.store.tables import stock_info


def write_companies(engine: Engine, companies: Sequence[CompanyInfo]) -> None:
    """Insert a row a symbol and day; a second one of a day updates it."""
    if not companies:
        return
    statement = insert(stock_info)
    replaced = {c.name: statement.excluded[c.name] for c in stock_info.c if not c.primary_key}
    upsert = statement.on_conflict_do_update(index_elements=["entry_date", "symbol"], set_=replaced)
    with engine.begin() as connection:
        connection.execute(upsert, [company.row() for company in companies])


def read_companies(engine: Engine) -> list[dict[str, Any]]:
    """The newest row of each symbol, by symbol."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM company ORDER BY symbol")).mappings().all()
    return [dict(row) for row in rows]
