"""The table `source_answer`: how the source answered, counted by hour."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from stock_assets.store.tables import source_answer


def count_answers(engine: Engine, asked_for: str, answers: Mapping[str, int], now: datetime) -> None:
    """Add to the counts of the hour of `now`; `answers` maps a kind to how many of it there were."""
    rows = [
        {"hour": now.replace(minute=0, second=0, microsecond=0), "asked_for": asked_for, "kind": kind, "answers": count}
        for kind, count in sorted(answers.items())
    ]
    if not rows:
        return
    statement = insert(source_answer)
    more = {"answers": source_answer.c.answers + statement.excluded.answers}
    with engine.begin() as connection:
        connection.execute(statement.on_conflict_do_update(constraint=source_answer.primary_key, set_=more), rows)
