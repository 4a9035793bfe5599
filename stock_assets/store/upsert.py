"""Inserts rows, or replaces those with the same primary key."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, Table
from sqlalchemy.dialects.postgresql import insert


def upsert(engine: Engine, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows, or replace those with the same primary key: all or none of them."""
    if not rows:
        return
    statement = insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    with engine.begin() as connection:
        connection.execute(statement.on_conflict_do_update(constraint=table.primary_key, set_=replaced), list(rows))
