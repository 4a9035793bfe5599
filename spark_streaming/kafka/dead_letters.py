"""Records that can't become points go to the dead-letter topic, byte for byte, with the reason in headers."""

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf

from spark_streaming.contract import schema
from spark_streaming.contract.validity import Reason
from spark_streaming.feed import Feed
from spark_streaming.parse.bars import BOUNDED
from spark_streaming.sink.write_policy import RejectedRecord

_LARGEST_BYTES = 64 * 1024 * 1024  # a record before it is compressed


class LostRecordsError(RuntimeError):
    """Records that were to be dead-lettered could not all be read again."""


def publish(
    spark: SparkSession,
    kafka: Mapping[str, str],
    feed: Feed,
    ranges: Mapping[int, tuple[int, int]],
    refused: Sequence[RejectedRecord],
    expected: int,
) -> None:
    """Publish what is invalid between the offsets of `ranges`, and what InfluxDB refused, to the dead-letter topic.

    Only now are these records read in full: the batch itself keeps only their offsets.

    Args:
        spark: the session.
        kafka: Spark's options for reading Kafka.
        feed: where the records are, what is wrong with them, and where they go.
        ranges: partition -> first and last offset to look at; includes the refused ones.
        refused: by InfluxDB.
        expected: how many records there are to publish.

    Raises:
        LostRecordsError: another number than `expected` was found.
    """
    records = _records(spark, kafka, feed.topic, ranges)
    dead_letters = _dead_letters(_rejected(spark, records, feed, refused)).persist()
    try:
        found = dead_letters.count()
        if found != expected:
            raise LostRecordsError(
                f"{expected} records of {feed.topic} are to go to {feed.dead_letter_topic}, and {found} were found "
                f"between the offsets {dict(ranges)}. Has the topic been truncated, or created again?"
            )
        _write(dead_letters, kafka["kafka.bootstrap.servers"], feed.dead_letter_topic)
    finally:
        dead_letters.unpersist()


def _records(
    spark: SparkSession, kafka: Mapping[str, str], topic: str, ranges: Mapping[int, tuple[int, int]]
) -> DataFrame:
    """Read the records of `topic` from the first to the last offset of each partition."""
    return (
        spark.read.format("kafka")
        .options(**kafka)
        .option("assign", json.dumps({topic: sorted(ranges)}))
        .option("startingOffsets", json.dumps({topic: {str(p): first for p, (first, _) in ranges.items()}}))
        .option("endingOffsets", json.dumps({topic: {str(p): last + 1 for p, (_, last) in ranges.items()}}))
        .load()
    )


def _write(dead_letters: DataFrame, bootstrap_servers: str, topic: str) -> None:
    dead_letters.write.format("kafka").options(
        **{
            "kafka.bootstrap.servers": bootstrap_servers,
            # Kafka limits the compressed size: a record that came compressed is larger now, and needs compression too.
            "kafka.compression.type": "gzip",
            "kafka.max.request.size": str(_LARGEST_BYTES),
            "kafka.buffer.memory": str(_LARGEST_BYTES),
            "topic": topic,
        }
    ).save()


def _rejected(spark: SparkSession, records: DataFrame, feed: Feed, refused: Sequence[RejectedRecord]) -> DataFrame:
    """The records that are to be dead-lettered, with their columns reason and error."""
    evaluate = arrow_udf(feed.rejection_reasons, "string")  # type: ignore[call-overload]  # its stubs know no plain name of a type
    bounded = [F.expr(expression) for expression in BOUNDED]
    evaluated = records.withColumn("reason", evaluate(*bounded, F.col("timestamp")))
    meanings = F.create_map(*(F.lit(text) for one in Reason for text in (str(one), one.meaning)))
    if not refused:
        return evaluated.where("reason IS NOT NULL").withColumn("error", F.element_at(meanings, F.col("reason")))
    rows = pa.table(
        {
            "partition": pa.array([one.partition for one in refused], pa.int32()),
            "offset": pa.array([one.offset for one in refused], pa.int64()),
            "refusal": pa.array([one.error for one in refused], pa.string()),
        }
    )
    joined = evaluated.join(F.broadcast(spark.createDataFrame(rows)), ["partition", "offset"], "left")
    by_database = F.when(F.col("refusal").isNotNull(), F.lit(str(Reason.REFUSED_BY_DATABASE)))
    reason = F.coalesce(by_database, F.col("reason"))
    return (
        joined.withColumn("reason", reason)
        .where("reason IS NOT NULL")
        .withColumn("error", F.coalesce("refusal", F.element_at(meanings, F.col("reason"))))
    )


def _dead_letters(rejected: DataFrame) -> DataFrame:
    """Rows for Spark's Kafka sink."""
    headers = {
        schema.HEADER_REASON: "reason",
        schema.HEADER_ERROR: "error",
        schema.HEADER_TOPIC: "topic",
        schema.HEADER_PARTITION: "CAST(partition AS string)",
        schema.HEADER_OFFSET: "CAST(offset AS string)",
        schema.HEADER_TIMESTAMP: "CAST(unix_millis(timestamp) AS string)",
    }
    structs = ", ".join(
        f"named_struct('key', '{name}', 'value', CAST({text} AS binary))" for name, text in headers.items()
    )
    return rejected.selectExpr("key", "value", f"array({structs}) AS headers")
