"""Finds the incidents that are open, and writes the notifications about them."""

from dataclasses import replace
from datetime import datetime

from dagster import DagsterInstance
from sqlalchemy import Engine

from stock_assets.dagster_internals import ticks_of_running
from stock_assets.incidents.detection import Tick, find_incidents
from stock_assets.incidents.notifications import Incident, new_notifications
from stock_assets.resources.notifier import parse_targets
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.check_verdicts import read_verdicts
from stock_assets.store.notifications import read_notifications, write_notifications
from stock_assets.store.pipeline_runs import read_runs

SENSOR = "record_and_notify"  # the sensor that does this: it can't notify of its own failed ticks
_TICKS = 20  # of a sensor or schedule that are read


def write_new_notifications(
    instance: DagsterInstance, engine: Engine, settings: CodeLocationSettings, now: datetime
) -> None:
    """Write a notification of each incident that has begun, become worse or ended.

    Without an address in NOTIFY_URLS they count as delivered: one that is added later gets none of them.
    """
    incidents = _open_incidents(instance, engine, settings, now)
    written = new_notifications(read_notifications(engine), incidents, now)
    if not parse_targets(settings.notify_urls.get_secret_value()):
        written = [replace(notification, delivered_at=now) for notification in written]
    write_notifications(engine, written)


def _open_incidents(
    instance: DagsterInstance, engine: Engine, settings: CodeLocationSettings, now: datetime
) -> list[Incident]:
    ticks = {
        name: [Tick(tick.began_at, tick.error) for tick in newest]
        for name, newest in ticks_of_running(instance, limit=_TICKS).items()
        if name != f"sensor:{SENSOR}"
    }
    verdicts, runs = read_verdicts(engine).values(), read_runs(engine).values()
    return find_incidents(verdicts, runs, ticks, settings.dagster_address, now)
