"""The table `watchlist`."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert

from stock_assets.store.tables import watchlist


def read_watchlist(engine: Engine) -> list[str]:
    """Return the symbols that are watched, in the order in which they were added."""
    query = select(watchlist.c.symbol).where(watchlist.c.removed_at.is_(None))
    with engine.connect() as connection:
        return list(connection.execute(query.order_by(watchlist.c.added_at, watchlist.c.symbol)).scalars())


def read_added(engine: Engine) -> dict[str, datetime]:
    """Watched symbol -> when it was added, in UTC."""
    query = select(watchlist.c.symbol, watchlist.c.added_at).where(watchlist.c.removed_at.is_(None))
    with engine.connect() as connection:
        return dict(connection.execute(query).tuples().all())


def seed_watchlist(engine: Engine, symbols: Sequence[str]) -> None:
    """Watch symbols that have never been on the list: what a person removed stays removed."""
    rows = [{"symbol": symbol, "added_at": func.now()} for symbol in symbols]
    with engine.begin() as connection:
        for row in rows:
            connection.execute(insert(watchlist).values(row).on_conflict_do_nothing())


def add_to_watchlist(engine: Engine, symbol: str) -> bool:
    """Watch a symbol; whether it wasn't watched before."""
    if symbol in read_watchlist(engine):
        return False
    added = insert(watchlist).values(symbol=symbol, added_at=func.now())
    again = {"added_at": func.now(), "removed_at": None}
    with engine.begin() as connection:
        connection.execute(added.on_conflict_do_update(index_elements=["symbol"], set_=again))
    return True


def remove_from_watchlist(engine: Engine, symbol: str) -> bool:
    """Stop watching a symbol; whether it was watched. What is stored of it stays."""
    removed = update(watchlist).where(watchlist.c.symbol == symbol, watchlist.c.removed_at.is_(None))
    with engine.begin() as connection:
        return connection.execute(removed.values(removed_at=func.now())).rowcount > 0
