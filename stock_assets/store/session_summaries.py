"""The table `session_summary`."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import date, datetime

from sqlalchemy import Engine, select, tuple_

from stock_assets.market.sessions import Key, SessionSummary
from stock_assets.store.tables import session_summary
from stock_assets.store.upsert import upsert


def write_summaries(engine: Engine, rows: Sequence[SessionSummary]) -> None:
    """Insert or replace the row of each session, symbol and interval, all or none."""
    upsert(engine, session_summary, [asdict(row) for row in rows])


def read_summaries(engine: Engine, first: date, last: date) -> list[SessionSummary]:
    """Return the rows of the sessions between two dates, both included, by date and symbol."""
    of = session_summary.c
    query = select(session_summary).where(of.session_date.between(first, last))
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(of.session_date, of.symbol, of.interval)).mappings().all()
    return [SessionSummary(**row) for row in rows]


def read_summarised(engine: Engine, keys: Collection[Key]) -> dict[Key, datetime]:
    """Return when each session was last summarised; sessions without a summary are left out."""
    of = session_summary.c
    query = select(of.session_date, of.symbol, of.interval, of.summarised_at)
    query = query.where(tuple_(of.session_date, of.symbol, of.interval).in_(list(keys)))
    with engine.connect() as connection:
        return {(day, symbol, interval): at for day, symbol, interval, at in connection.execute(query)}
