"""The table `ingest_coverage`."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from stock_assets.market.coverage import Coverage
from stock_assets.store.tables import ingest_coverage


def read_coverage(engine: Engine) -> list[Coverage]:
    """Every row; times are aware."""
    with engine.connect() as connection:
        rows = connection.execute(select(ingest_coverage)).mappings().all()
    return [Coverage(**row) for row in rows]


def write_coverage(engine: Engine, rows: Sequence[Coverage]) -> None:
    """Insert or replace the row of each symbol and interval, all or none."""
    if not rows:
        return
    statement = insert(ingest_coverage)
    replaced = {c.name: statement.excluded[c.name] for c in ingest_coverage.c if not c.primary_key}
    upsert = statement.on_conflict_do_update(index_elements=["symbol", "interval"], set_=replaced)
    with engine.begin() as connection:
        connection.execute(upsert, [asdict(row) for row in rows])
