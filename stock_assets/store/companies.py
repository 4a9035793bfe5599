"""The table `stock_info` and its newest rows, `company`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, text

from stock_assets.market.companies import CompanyInfo
from stock_assets.store.tables import stock_info
from stock_assets.store.upsert import upsert


def write_companies(engine: Engine, companies: Sequence[CompanyInfo]) -> None:
    """Insert a row a symbol and day; a second one of a day updates it."""
    upsert(engine, stock_info, [company.row() for company in companies])


def read_companies(engine: Engine) -> list[dict[str, Any]]:
    """Return the newest row of each symbol, by symbol."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM company ORDER BY symbol")).mappings().all()
    return [dict(row) for row in rows]
