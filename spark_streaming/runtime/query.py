"""The streaming query: reads Kafka, builds lines and writes them to InfluxDB, in batches.

For each record of the topic its point is queryable in InfluxDB, or the record is in the dead-letter topic with its
reason. Spark commits a batch only after `_Batches.__call__` has returned, and that returns only once
all of the batch is written; so an interrupted batch is repeated from its start. Points written again change
nothing; a dead letter may then be published twice, and counts once by its topic, partition and offset.
"""

import json
import logging
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
    StreamingQueryProgress,
)
from pyspark.sql.streaming.query import StreamingQuery

from spark_streaming.feed import Feed
from spark_streaming.kafka import dead_letters
from spark_streaming.parse.bars import BOUNDED
from spark_streaming.runtime.metrics import MetricsWriter, phases
from spark_streaming.runtime.progress import BatchResult, Totals, sum_results
from spark_streaming.settings import StreamSettings
from spark_streaming.sink.influxdb import RESULT_DDL, write

log = logging.getLogger(__name__)


_EARLIEST = -2  # in Spark's JSON of offsets


class StoppedError(RuntimeError):
    """A batch was not started because the program is stopping."""


class StreamQuery:
    """The running query, and how to stop it between two batches."""

    def __init__(
        self,
        spark: SparkSession,
        settings: StreamSettings,
        feed: Feed,
        totals: Totals,
        metrics: MetricsWriter,
        partitions: list[int],
        available_now: bool,
    ) -> None:
        self._spark = spark
        self._batches = _Batches(spark, settings, feed, totals)
        self._listener = _Listener(feed, totals, self._batches, metrics)
        spark.streams.addListener(self._listener)
        writer = (
            _written(_read(spark, settings, feed, partitions), feed)
            .writeStream.queryName(feed.name)
            .foreachBatch(self._batches)
            .option("checkpointLocation", f"file://{feed.checkpoint}")  # a path, which Hadoop doesn't decode
        )
        writer = (
            writer.trigger(availableNow=True)
            if available_now
            else writer.trigger(processingTime=f"{feed.trigger_milliseconds} milliseconds")
        )
        self.query: StreamingQuery = writer.start()
        self._listener.query_id = self.query.id

    def stop(self, patience_seconds: float) -> bool:
        """Stop after the running batch, or during it where that takes longer than `patience_seconds`.

        Returns:
            Whether it was between two batches. An interrupted batch is repeated by the next start.
        """
        self._batches.stopping.set()
        deadline = time.monotonic() + patience_seconds
        while (
            not (between := self._batches.is_between_batches()) and self.query.isActive and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        self.query.stop()
        self.settle()
        return between

    def settle(self) -> None:
        """Process the query's last progress, which its listener may not have received yet."""
        progress = self.query.lastProgress
        if progress is not None:
            self._listener.take(progress)

    def remove_listener(self) -> None:
        """Remove the listener of the query, which has ended; the session may go on with others."""
        self._spark.streams.removeListener(self._listener)

    def cause(self) -> str | None:
        """Return why the query ended; None where it was stopped or came to its end."""
        error = self._batches.error or self.query.exception()
        if error is None:
            return None
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        python_errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
        return (python_errors or lines or [type(error).__name__])[-1 if python_errors else 0]


class _Batches:
    """Writes one batch after the other."""

    def __init__(self, spark: SparkSession, settings: StreamSettings, feed: Feed, totals: Totals) -> None:
        self._spark = spark
        self._settings = settings
        self._feed = feed
        self._totals = totals
        self._running = threading.Lock()
        self._written: int | None = None
        self.unreported: dict[int, BatchResult] = {}  # written, and not yet known to be committed
        self.error: Exception | None = None
        self.stopping = threading.Event()

    def __call__(self, results: DataFrame, number: int) -> None:
        with self._running:
            if self.stopping.is_set():
                raise StoppedError(f"batch {number} is left for the next start")
            try:
                self._write(results, number)
            except Exception as error:  # Spark would wrap it in another error
                self.error = error
                raise

    def _write(self, results: DataFrame, number: int) -> None:
        started = time.monotonic()
        batch = sum_results(number, results.collect())  # this reads, evaluates and writes
        if batch.rejected:
            began = time.monotonic()
            dead_letters.publish(
                self._spark,
                _kafka(self._settings),
                self._feed,
                batch.ranges,
                batch.refused,
                batch.rejected,
            )
            batch.dead_letter_seconds = time.monotonic() - began
        batch.seconds = time.monotonic() - started
        self.unreported[number] = batch
        self._written = number
        self._totals.add(batch)

    def is_between_batches(self) -> bool:
        """Return whether no batch is being written, and the last one is committed."""
        return not self._running.locked() and self._written in (None, self._totals.committed)


def _kafka(settings: StreamSettings) -> dict[str, str]:
    return {"kafka.bootstrap.servers": settings.kafka_bootstrap_servers, "failOnDataLoss": "true"}


def _read(spark: SparkSession, settings: StreamSettings, feed: Feed, partitions: list[int]) -> DataFrame:
    return (
        spark.readStream.format("kafka")
        .options(**_kafka(settings))
        .option("assign", json.dumps({feed.topic: partitions}))
        .option(
            "startingOffsets",
            json.dumps({feed.topic: {p: feed.starting_offsets.get(p, _EARLIEST) for p in partitions}}),
        )
        # The default of 500 needs 800 polls a batch. More than this, and larger fetches than Kafka's 1 MiB, don't fit
        # into Java's young generation: a tenth of the CPU went into copying them.
        .option("kafka.max.poll.records", 2_000)
        .option("kafka.receive.buffer.bytes", 2**20)
        .option("kafka.fetch.max.wait.ms", 20)  # a fetch at the topic's end delays its task by this
        .option("maxOffsetsPerTrigger", settings.max_offsets_per_trigger)
        .load()
    )


def _written(records: DataFrame, feed: Feed) -> DataFrame:
    """Writes each batch, and gives rows of `sink.influxdb.RESULT`.

    It is part of the streaming plan, so that Spark plans once a batch and Python describes the work once.
    """
    bounded = records.selectExpr("partition", "offset", "timestamp", *BOUNDED)
    return bounded.coalesce(feed.tasks).mapInArrow(partial(write, feed.target, feed.to_lines), RESULT_DDL)


class _Listener(StreamingQueryListener):
    """Receives each batch once it is committed; Spark sends every query's events to every listener."""

    def __init__(self, feed: Feed, totals: Totals, batches: _Batches, metrics: MetricsWriter) -> None:
        self.query_id: str | None = None  # not known before the query has begun
        self._feed = feed
        self._totals = totals
        self._metrics = metrics
        self._batches = batches

    def take(self, progress: StreamingQueryProgress) -> None:
        """Note that a batch is committed. Safe for threads; a second call for one batch does nothing."""
        _commit(self._totals, progress, self._feed.topic)
        batch = self._batches.unreported.pop(progress.batchId, None)
        if batch is not None:
            durations = phases(progress.durationMs, batch)
            self._metrics.add(batch, durations)
            self._totals.set_phases(durations)
            _log_batch(self._feed.name, batch, self._totals.lag, progress.batchDuration / 1000, durations)

    def onQueryStarted(self, event: QueryStartedEvent) -> None:
        """Nothing to do."""

    def onQueryProgress(self, event: QueryProgressEvent) -> None:
        """A batch is committed."""
        if event.progress.name == self._feed.name:
            self.take(event.progress)

    def onQueryIdle(self, event: QueryIdleEvent) -> None:
        """Kafka has nothing new."""
        if str(event.id) == self.query_id:
            self._totals.idle(datetime.fromisoformat(event.timestamp).astimezone(UTC))

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:
        """Nothing to do: the supervision detects the end."""


def _commit(totals: Totals, progress: StreamingQueryProgress, topic: str) -> None:
    source = progress.sources[0]
    if latest := _offsets(source.latestOffset, topic):  # none in a batch that the start before this one had begun
        totals.set_ends(latest)
    totals.commit(progress.batchId, _offsets(source.endOffset, topic))


def _offsets(text: str | None, topic: str) -> dict[int, int]:
    offsets = json.loads(text) if text and text.startswith("{") else {}
    return {int(partition): offset for partition, offset in offsets.get(topic, {}).items()}


def _log_batch(feed: str, batch: BatchResult, lag: int | None, seconds: float, durations: Mapping[str, float]) -> None:
    def text(moment: datetime | None) -> str:
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "-"

    log.info(
        "%s, batch %d: %d records, %d stored, %d rejected, events %s to %s, %.2f s (%s), lag %s",
        feed, batch.number, batch.records, batch.points, batch.rejected, text(batch.oldest), text(batch.newest),
        seconds, ", ".join(f"{name.removesuffix('_seconds')} {part:.2f}" for name, part in durations.items() if part),
        "unknown" if lag is None else lag,
    )  # fmt: skip
