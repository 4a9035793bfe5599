"""The table `ingest_coverage`."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Engine, select

from stock_assets.pipeline.coverage import Coverage
from stock_assets.store.tables import ingest_coverage
from stock_assets.store.upsert import upsert


def read_coverage(engine: Engine) -> list[Coverage]:
    """Return every row; times are aware."""
    with engine.connect() as connection:
        rows = connection.execute(select(ingest_coverage)).mappings().all()
    return [Coverage(**row) for row in rows]


def write_coverage(engine: Engine, rows: Sequence[Coverage]) -> None:
    """Insert or replace the row of each symbol and interval, all or none."""
    upsert(engine, ingest_coverage, [asdict(row) for row in rows])
