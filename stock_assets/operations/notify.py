"""Tells people what goes wrong, and when it is over: from what is written down to what is delivered."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from dagster import DagsterInstance
from sqlalchemy import Engine

from spark_streaming.contract.schema import Source
from stock_assets.dagster_internals import ticks_of_running
from stock_assets.incidents.detection import SensorTick, find_incidents
from stock_assets.incidents.notifications import (
    Incident,
    Notification,
    after_attempt,
    due_notifications,
    new_notifications,
)
from stock_assets.resources.notifier import deliver, parse_targets
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.notifications import read_notifications, write_notifications
from stock_assets.store.run_records import read_runs, read_verdicts

SENSOR = "record_and_notify"  # which does this: of its own failed ticks it can't tell
_TICKS = 20  # of a sensor that are looked at
_SECONDS = 30  # of a tick that deliveries may take: Dagster cuts a tick off after 60


class UndeliveredError(RuntimeError):
    """Someone could not be told; it is tried again."""


def write_new_notifications(
    instance: DagsterInstance, engine: Engine, settings: CodeLocationSettings, now: datetime
) -> None:
    """Write the messages of what has begun, become worse or is over. Where nobody is to be told, that is noted too."""
    wrong = _troubles(instance, engine, settings, now)
    written = new_notifications(read_notifications(engine), wrong, now)
    if not parse_targets(settings.notify_urls.get_secret_value()):
        written = [replace(notice, delivered_at=now) for notice in written]
    write_notifications(engine, written)


def deliver_due_notifications(engine: Engine, settings: CodeLocationSettings, now: datetime) -> int:
    """Deliver what is due; returns how many messages are where they should be.

    What was delivered is written down at once, message by message: after a kill none is told again but the one that
    was under way.

    Raises:
        UndeliveredError: someone could not be told; it is tried again.
    """
    targets = parse_targets(settings.notify_urls.get_secret_value())
    fingerprints = [target.fingerprint for target in targets]
    deadline, tried = time.monotonic() + _SECONDS, []
    for notice in due_notifications(read_notifications(engine), now):
        if time.monotonic() > deadline:
            break
        outcome = deliver(notice, targets, _prefix(settings.source))
        tried.append(after_attempt(notice, outcome, fingerprints, now))
        write_notifications(engine, tried[-1:])
    failed = [notice for notice in tried if notice.delivered_at is None]
    if failed:
        raise UndeliveredError(_complaint(failed))
    return len(tried)


def _troubles(
    instance: DagsterInstance, engine: Engine, settings: CodeLocationSettings, now: datetime
) -> list[Incident]:
    ticks = {name: found for name, found in _ticks(instance).items() if name != SENSOR}
    verdicts, runs = read_verdicts(engine).values(), read_runs(engine).values()
    return find_incidents(verdicts, runs, ticks, settings.dagster_address, now)


def _ticks(instance: DagsterInstance) -> dict[str, list[SensorTick]]:
    """Sensor -> its newest ticks that have ended, of those that run; the newest first."""
    return {
        name.removeprefix("sensor:"): [SensorTick(tick.began_at, tick.error) for tick in ticks]
        for name, ticks in ticks_of_running(instance, limit=_TICKS).items()
    }


def _prefix(source: Source) -> str:
    """Other prices can't be taken for Yahoo's."""
    return "stock-assets: " if source.is_live else f"stock-assets ({source}): "


def _complaint(failed: Sequence[Notification]) -> str:
    soonest = min(notice.next_try_at for notice in failed if notice.next_try_at)
    return (
        f"{len(failed)} messages could not be delivered ({failed[-1].error}); the next try is at "
        f"{soonest:%H:%M:%S} UTC. `stocks notify --test` tries the addresses, `stocks notify` lists what waits."
    )
