"""`python -m spark_streaming.runtime.class_archive FOLDER`: makes the class archive of Spark's JVM.

It does what the stream does, with rows of Spark's own instead of Kafka's, and stores nothing. No server is needed.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pydantic import SecretStr
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from spark_streaming.contract.class_archive import making_options, mark_complete
from spark_streaming.contract.schema import Source
from spark_streaming.parse.bars import BOUNDED
from spark_streaming.runtime.spark_session import open_session
from spark_streaming.settings import StreamSettings
from spark_streaming.sink.influxdb import RESULT_DDL

_BATCHES = 3
_EXIT_SECONDS = 300  # to write the archive takes Java 10 to 30 s
_NOBODY = "127.0.0.1:9"  # an address at which nothing listens


def main(folder: Path, spark_jars: Path) -> None:
    """Run Spark for some seconds, and have its JVM write the archive into `folder` as it exits."""
    with tempfile.TemporaryDirectory() as state:
        settings = StreamSettings(
            source=Source.SIMULATED, influx_token=SecretStr("none"), stream_state=Path(state), spark_jars=spark_jars
        )
        spark = open_session(settings, making_options(folder))
        gateway = spark.sparkContext._gateway
        assert gateway is not None
        jvm = gateway.proc
        _stream(spark, state)
        _read_kafka(spark)
        spark.stop()
        jvm.stdin.close()
        jvm.wait(_EXIT_SECONDS)
    mark_complete(folder)


def _stream(spark: SparkSession, state: str) -> None:
    batches: list[int] = []
    rows = (
        spark.readStream.format("rate")
        .option("rowsPerSecond", 100)
        .load()
        .selectExpr(
            "CAST(value % 4 AS INT) AS partition", "value AS offset", "timestamp",
            "CAST('AAPL' AS BINARY) AS key", "CAST(CAST(value AS STRING) AS BINARY) AS value",
        )
        .selectExpr("partition", "offset", "timestamp", *BOUNDED)
    )  # fmt: skip

    def take(batch: DataFrame, number: int) -> None:
        batch.collect()
        batches.append(number)

    query = (
        rows.coalesce(2)
        .mapInArrow(_drop, RESULT_DDL)
        .writeStream.foreachBatch(take)
        .option("checkpointLocation", f"file://{state}/checkpoint")
        .trigger(processingTime="200 milliseconds")
        .start()
    )
    while len(batches) < _BATCHES and query.isActive:
        time.sleep(0.1)
    query.stop()


def _drop(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        yield from ()


def _read_kafka(spark: SparkSession) -> None:
    """Load the classes of Kafka's client by asking an address at which nobody answers."""
    options = {"kafka.bootstrap.servers": _NOBODY, "assign": '{"none": [0]}', "kafka.default.api.timeout.ms": "500",
               "kafka.request.timeout.ms": "500", "fetchOffset.numRetries": "1"}  # fmt: skip
    with suppress(PySparkException, Py4JError):
        spark.read.format("kafka").options(**options).load().collect()
    java = spark.sparkContext._jvm
    assert java is not None
    deserializer = "org.apache.kafka.common.serialization.ByteArrayDeserializer"
    consumer = java.org.apache.kafka.clients.consumer.KafkaConsumer(
        {"bootstrap.servers": _NOBODY, "key.deserializer": deserializer, "value.deserializer": deserializer}
    )
    consumer.assign([java.org.apache.kafka.common.TopicPartition("none", 0)])
    consumer.poll(java.java.time.Duration.ofMillis(500))
    consumer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
