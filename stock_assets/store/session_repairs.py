"""The table `session_repair`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from stock_assets.market.sessions import Key
from stock_assets.pipeline.completeness import SessionRepair
from stock_assets.store.tables import session_repair
from stock_assets.store.upsert import upsert


def request_repairs(engine: Engine, rows: Sequence[SessionRepair]) -> None:
    """Request that the source is asked again; a session that has ever been requested keeps its row."""
    if rows:
        with engine.begin() as connection:
            connection.execute(insert(session_repair).on_conflict_do_nothing(), [asdict(row) for row in rows])


def write_repairs(engine: Engine, rows: Sequence[SessionRepair]) -> None:
    """Insert or replace the row of each session, symbol and interval."""
    upsert(engine, session_repair, [asdict(row) for row in rows])


def read_repairs(engine: Engine, first: date = date.min, unfinished: bool = False) -> dict[Key, SessionRepair]:
    """Return the repairs of sessions from `first` on; only those that have not finished where `unfinished`."""
    query = select(session_repair).where(session_repair.c.session_date >= first)
    if unfinished:
        query = query.where(session_repair.c.finished_at.is_(None))
    with engine.connect() as connection:
        found = [SessionRepair(**row) for row in connection.execute(query).mappings().all()]
    return {row.key: row for row in found}
