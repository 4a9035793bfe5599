"""The table `notice`: the notifications that were sent, and those that are still to be delivered."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, and_, delete, func, select, tuple_, update

from stock_assets.incidents.notifications import Notification, NotificationKind, Severity
from stock_assets.store.tables import notice
from stock_assets.store.upsert import upsert


def read_notifications(engine: Engine) -> list[Notification]:
    """Return every notification that is kept, in the order in which they were written."""
    with engine.connect() as connection:
        rows = connection.execute(select(notice).order_by(notice.c.written_at)).mappings().all()
    return [
        Notification(**{**row, "kind": NotificationKind(row["kind"]), "severity": Severity(row["severity"])})
        for row in rows
    ]


def write_notifications(engine: Engine, notifications: Sequence[Notification]) -> None:
    """Insert or replace the row of each notification."""
    upsert(engine, notice, [{**asdict(row), "told": list(row.told)} for row in notifications])


def add_recipient(engine: Engine, notification: Notification, address: str) -> None:
    """Record that an address (its fingerprint) has the notification; safe with concurrent writers of the row."""
    added = notice.c.told.op("||")(func.jsonb_build_array(address))
    with engine.begin() as connection:
        connection.execute(update(notice).where(_is(notification), ~notice.c.told.has_key(address)).values(told=added))


def write_attempts(engine: Engine, notifications: Sequence[Notification]) -> None:
    """Update the fields that the last attempt changed, except the recipients, which `add_recipient` writes."""
    columns = ("delivered_at", "attempts", "next_try_at", "error")
    with engine.begin() as connection:
        for row in notifications:
            values = {name: getattr(row, name) for name in columns}
            connection.execute(update(notice).where(_is(row)).values(values))


def delete_notifications(engine: Engine, before: datetime) -> int:
    """Delete the notifications of incidents whose end was delivered before `before`; return how many."""
    ended = select(notice.c.subject, notice.c.since).where(
        notice.c.kind == NotificationKind.OVER.value, notice.c.delivered_at < before
    )
    columns = (notice.c.subject, notice.c.since)
    with engine.begin() as connection:
        keys = connection.execute(ended).all()
        old = delete(notice).where(tuple_(*columns).in_([tuple(key) for key in keys]))
        return connection.execute(old).rowcount if keys else 0


def _is(notification: Notification) -> ColumnElement[bool]:
    subject, since, kind = notification.key
    return and_(notice.c.subject == subject, notice.c.since == since, notice.c.kind == kind.value)
