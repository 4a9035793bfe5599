"""The table `notice`: what people were told, and what is still to be delivered."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Engine, delete, select, tuple_

from stock_assets.incidents.notifications import Notification, NotificationKind, Severity
from stock_assets.store.tables import notice
from stock_assets.store.upsert import upsert


def read_notifications(engine: Engine) -> list[Notification]:
    """Every message that is kept, in the order in which they were written."""
    with engine.connect() as connection:
        rows = connection.execute(select(notice).order_by(notice.c.written_at)).mappings().all()
    return [
        Notification(**{**row, "kind": NotificationKind(row["kind"]), "severity": Severity(row["severity"])})
        for row in rows
    ]


def write_notifications(engine: Engine, notices: Sequence[Notification]) -> None:
    """Insert or replace the row of each message."""
    upsert(engine, notice, [{**asdict(row), "told": list(row.told)} for row in notices])


def delete_notifications(engine: Engine, before: datetime) -> int:
    """Delete delivered messages of troubles that were over before then; returns how many."""
    over = select(notice.c.subject, notice.c.since).where(
        notice.c.kind == NotificationKind.OVER.value, notice.c.delivered_at < before
    )
    columns = (notice.c.subject, notice.c.since)
    with engine.begin() as connection:
        keys = connection.execute(over).all()
        gone = delete(notice).where(tuple_(*columns).in_([tuple(key) for key in keys]))
        return connection.execute(gone).rowcount if keys else 0
