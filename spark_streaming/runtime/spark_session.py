"""Spark's configuration, each line with its reason."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from spark_streaming.contract.class_archive import archive_options
from spark_streaming.settings import StreamSettings

_LOG4J = Path(__file__).with_name("log4j2.properties")
# On the class path of the driver rather than in spark.jars, which would copy each of them first. The connector's other
# dependencies come with pyspark.
_CONNECTOR = ("spark-sql-kafka-", "spark-token-provider-kafka-", "kafka-clients-", "commons-pool2-")

_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",  # a heap of this size has no use for G1's threads and tables
    "-Xms256m",
    "-XX:MetaspaceSize=192m",  # what Spark takes anyway; growing to it means full collections while it starts
    "-XX:-UsePerfData",
    # Java's second compiler halves the CPU of a task, but compiling all that is warm costs as much as it saves on the
    # first million bars. Ten times the default thresholds.
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
    "-Xmn160m",  # what a batch reads is garbage soon
)
_CHECKPOINTING = "org.apache.spark.sql.execution.streaming.checkpointing"


class MissingJarsError(RuntimeError):
    """The folder of SPARK_JARS lacks a part of Spark's Kafka connector."""


def open_session(settings: StreamSettings, java_options: Sequence[str] | None = None) -> SparkSession:
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
    more = archive_options(settings.spark_class_archive) if java_options is None else java_options
    for name, value in (_configuration(settings, more) | settings.spark_conf).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def connector_jars(folder: Path) -> list[Path]:
    """Return the jars of Spark's Kafka connector in `folder`.

    Raises:
        MissingJarsError: one is missing.
    """
    found = [jar for start in _CONNECTOR for jar in sorted(folder.glob(f"{start}*.jar"))]
    if len(found) != len(_CONNECTOR):
        raise MissingJarsError(
            f"{folder} holds {[jar.name for jar in found]} of Spark's Kafka connector, which is one jar of each of "
            f"{', '.join(_CONNECTOR)}: put org.apache.spark:spark-sql-kafka-0-10_2.13 and its dependencies there."
        )
    return found


def _configuration(settings: StreamSettings, java_options: Sequence[str]) -> dict[str, str]:
    jars = [str(jar) for jar in connector_jars(settings.spark_jars)]
    log4j = f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}"
    local = settings.spark_master.startswith("local")
    where = {"spark.driver.host": "127.0.0.1"}
    if not local:  # the executors are on other machines, and get the jars
        where = {"spark.jars": ",".join(jars), "spark.executor.extraJavaOptions": " ".join(_JAVA_OPTIONS)}
    return where | {
        "spark.driver.extraClassPath": os.pathsep.join(jars),
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": _quoted((log4j, *_JAVA_OPTIONS, *java_options)),
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


def _quoted(options: Iterable[str]) -> str:
    """Return the options in the form that Spark's launcher splits again: a path may have spaces."""
    return " ".join(f'"{option}"' if " " in option else option for option in options)
