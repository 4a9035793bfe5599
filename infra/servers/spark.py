"""Spark's JVM, as far as the stack has to do with it: Dagster's runs start it."""

import sys
import threading
from pathlib import Path

from infra.servers import jars
from infra.servers.class_archives import LOWEST_PRIORITY, archive_folder, make_archive
from infra.settings import StackSettings, service_environment
from infra.supervise.tools import run_tool


def class_archive(settings: StackSettings) -> Path:
    """Return the folder of the class archive of the stream's JVM, made or not: the settings', else the cache's."""
    if settings.spark_class_archive is not None:
        return settings.spark_class_archive
    return archive_folder(settings.stocks_cache, "spark", [*jars.PYSPARK_JARS.glob("*.jar"), *_jars(settings)])


def make_class_archive(settings: StackSettings, stop: threading.Event | None = None) -> None:
    """Make the archive where it is missing: a minute of CPU. The connector's jars must be in the cache.

    Raises:
        StackError: it could not be made.
        StoppedError: `stop` was set.
    """

    def make(folder: Path, log: Path) -> int:
        module = "spark_streaming.runtime.class_archive"
        command = [*LOWEST_PRIORITY, sys.executable, "-m", module, str(folder), str(jars.connector_folder(settings))]
        return run_tool(command, log, directory=folder, environment=service_environment(), stop=stop)

    make_archive(class_archive(settings), make, stop)


def _jars(settings: StackSettings) -> list[Path]:
    return list(jars.connector_folder(settings).glob("*.jar"))
