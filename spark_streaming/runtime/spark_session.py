"""Spark's configuration, each line with its reason."""

import os
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from spark_streaming.contract.class_archive import archive_options
from spark_streaming.contract.connector import class_path
from spark_streaming.contract.java_options import LATE_COMPILER, java_options
from spark_streaming.settings import StreamSettings

_LOG4J = Path(__file__).with_name("log4j2.properties")
_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",  # a heap of this size has no use for G1's threads and tables
    "-Xms256m",
    "-XX:MetaspaceSize=192m",  # what Spark takes anyway; growing to it means full collections while it starts
    "-XX:-UsePerfData",
    # Java's second compiler halves the CPU of a task, but compiling all that is warm costs as much as it saves on the
    # first million bars.
    *LATE_COMPILER,
    "-Xmn160m",  # what a batch reads is garbage soon
)
_CHECKPOINTING = "org.apache.spark.sql.execution.streaming.checkpointing"


def open_session(settings: StreamSettings, more_java_options: Sequence[str] | None = None) -> SparkSession:
    """Start Spark, its JVM with more options: by default with those to use the class archive of the settings.

    Raises:
        MissingJarsError: the connector is not in `settings.spark_jars`.
    """
    os.environ["PYSPARK_PYTHON"] = settings.spark_python  # otherwise the workers run another interpreter
    if settings.spark_master.startswith("local"):
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # Spark's ports are for this machine alone
    elif settings.spark_local_ip is not None:
        os.environ["SPARK_LOCAL_IP"] = settings.spark_local_ip
    os.environ["LC_ALL"] = "C.UTF-8"  # in another locale Java can't name a file with non-ASCII characters
    builder = SparkSession.builder.appName(f"prices-{settings.source}").master(settings.spark_master)
    more = archive_options(settings.spark_class_archive) if more_java_options is None else more_java_options
    for name, value in (_configuration(settings, more) | settings.spark_conf).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _configuration(settings: StreamSettings, more: Sequence[str]) -> dict[str, str]:
    jars = class_path(settings.spark_jars)
    log4j = f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}"
    local = settings.spark_master.startswith("local")
    where = {"spark.driver.host": "127.0.0.1"}
    if not local:  # the executors are on other machines, and get the jars
        where = {"spark.jars": ",".join(jars), "spark.executor.extraJavaOptions": " ".join(_JAVA_OPTIONS)}
    return where | {
        "spark.driver.extraClassPath": os.pathsep.join(jars),
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": java_options((log4j, *_JAVA_OPTIONS, *more)),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(settings.write_tasks),
        "spark.sql.adaptive.enabled": "false",  # nothing is shuffled
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(settings.write_lines),  # an Arrow batch is a request
        # Hadoop starts a `chmod` and writes a checksum file for every file of the checkpoint, four each batch, unless
        # it is configured for plain files without a mode. The checkpoint's folder is the user's own.
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.sql.streaming.checkpointFileManagerClass": f"{_CHECKPOINTING}.FileSystemBasedCheckpointFileManager",
        "spark.sql.streaming.noDataProgressEventInterval": "1000",  # the heartbeat's lag stays fresh in quiet times
    }
