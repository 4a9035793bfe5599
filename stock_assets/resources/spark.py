"""A small Spark for bounded work inside of a run."""

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, Self

from dagster import InitResourceContext
from dagster_pyspark import PySparkResource

from spark_streaming.contract.class_archive import archive_options
from spark_streaming.contract.connector import MissingJarsError, class_path
from spark_streaming.contract.java_options import java_options
from stock_assets.settings import CodeLocationSettings

_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",  # a heap of this size has no use for G1's threads and tables
    "-XX:-UsePerfData",
    "-XX:TieredStopAtLevel=1",  # a run is over before its second compiler has paid
    "-Dlog4j2.level=WARN",
)


class SmallSparkResource(PySparkResource):
    """dagster-pyspark's resource with a small Spark, which is started for a step and stopped after it."""

    python: str

    @classmethod
    def from_settings(cls, settings: CodeLocationSettings) -> Self:
        """One core and a heap of `SUMMARY_SPARK_MEMORY`, inside the run's own process tree."""
        config: dict[str, Any] = {
            "spark.app.name": f"sessions-{settings.source}",
            "spark.master": "local[1]",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": settings.summary_spark_memory,
            "spark.driver.extraJavaOptions": java_options(_JAVA_OPTIONS),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.adaptive.enabled": "false",
        }
        if settings.spark_jars is not None and (archive := archive_options(settings.spark_class_archive)):
            with suppress(MissingJarsError):
                config["spark.driver.extraClassPath"] = os.pathsep.join(class_path(settings.spark_jars))
                config["spark.driver.extraJavaOptions"] = java_options((*_JAVA_OPTIONS, *archive))
        return cls(spark_config=config, python=sys.executable)

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Start Spark."""
        os.environ["PYSPARK_PYTHON"] = self.python  # otherwise the workers run another interpreter
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # Spark's ports are for this machine alone
        interrupt = signal.getsignal(signal.SIGINT)
        super().setup_for_execution(context)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, interrupt)  # pyspark takes it over, and Dagster ends runs with it

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Stop it."""
        self.spark_session.stop()
