"""Carries a home of an earlier build over to this one: before its tables are migrated, and before Dagster runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from stock_assets.operations.names import PURGE_CRON, PURGE_SCHEDULE, PURGE_SENSOR, SENSORS
from stock_assets.settings import IngestSettings
from stock_assets.store.migrate import revision, upgrade

if TYPE_CHECKING:  # seconds to import, and only a home of an earlier build needs it
    from dagster import DagsterInstance

_NAMES_SINCE = "0008"  # the migration of the tables whose names go with those of the sensors and jobs


def upgrade_home(settings: IngestSettings, dagster_home: Path) -> None:
    """Bring Dagster's records and the source's tables to what this build needs; nothing to do is fine.

    Dagster's come first: where this is cut off, the tables' revision shows that it has to be repeated.

    Raises:
        sqlalchemy.exc.OperationalError: PostgreSQL can't be reached.
    """
    found = revision(settings)
    if found is not None and found < _NAMES_SINCE:
        from dagster import DagsterInstance

        with DagsterInstance.from_config(str(dagster_home)) as instance:
            rename_records(instance)
    upgrade(settings)


def rename_records(instance: "DagsterInstance") -> None:
    """Give the records of sensors their names of today: what a person has stopped stays stopped, cursors are kept."""
    from stock_assets.dagster_internals import rename_sensor, replace_sensor_by_schedule

    for old, new in SENSORS.items():
        rename_sensor(instance, old, new)
    replace_sensor_by_schedule(instance, PURGE_SENSOR, PURGE_SCHEDULE, PURGE_CRON)
