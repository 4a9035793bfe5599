"""From the lock to the last heartbeat: one run of the stream."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spark_streaming.contract.lifecycle import (
    Lock,
    State,
    clear_drain_request,
    drain_is_requested,
    end_with_parent,
)
from spark_streaming.life import Pulse, StopSignals
from spark_streaming.progress import Totals
from spark_streaming.settings import StreamSettings

if TYPE_CHECKING:
    from dagster_pipes import PipesContext
    from pyspark.sql import SparkSession

    from spark_streaming.job import Stream
    from spark_streaming.metrics import Metrics
    from spark_streaming.watch import Watch

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1  # how often the program looks whether it is to end
# A batch that takes longer is cut off: who sent the signal waits some 20 s, and then kills.
_STOP_PATIENCE_SECONDS = 8.0


class StreamFailedError(RuntimeError):
    """The query has ended with an error; the message is its cause."""


def run(settings: StreamSettings, available_now: bool, pipes: "PipesContext | None") -> None:
    """Stream until asked to end, or, with `available_now`, until all that Kafka has at the start is stored.

    Args:
        settings: of the stream.
        available_now: see above.
        pipes: the Dagster run that started it; is told the totals at the end.

    Raises:
        AlreadyRunningError: another one is at work on the same state.
        StreamFailedError: the query failed. Nothing is lost: the next start goes on after the last whole batch.
    """
    signals = StopSignals()
    signals.listen()
    totals = Totals()
    started = time.monotonic()
    folder = settings.stream_state
    with Lock(folder), Pulse(folder, pipes.run_id if pipes else "", os.getpid(), totals) as pulse:
        if settings.parent_pid is not None:
            end_with_parent(settings.parent_pid)
        clear_drain_request(folder)
        # Spark takes a second to import: the lock and the heartbeat are first.
        from py4j.protocol import Py4JError  # type: ignore[import-untyped]

        from spark_streaming.metrics import Metrics
        from spark_streaming.session import open_session

        with _watch(settings, totals) as watch:
            spark = open_session(settings)
            signals.listen()
            try:
                with Metrics(settings.target, totals) as metrics:
                    _stream(spark, settings, totals, metrics, available_now, pulse, signals, watch)
            except (Py4JError, OSError) as error:
                if signals.received is None:
                    raise
                log.warning("a signal has ended Spark itself; the next start does the running batch again: %s", error)
            finally:
                _close(spark)
        log.info("ended after %d batches: %d stored, %d rejected", totals.batches, totals.points, totals.rejected)
        if pipes is not None:
            _report(pipes, settings, totals, time.monotonic() - started)


def _stream(
    spark: "SparkSession",
    settings: StreamSettings,
    totals: Totals,
    metrics: "Metrics",
    available_now: bool,
    pulse: Pulse,
    signals: StopSignals,
    watch: "Watch",
) -> None:
    from spark_streaming.job import Stream

    stream = Stream(spark, settings, totals, metrics, watch.partitions, available_now)
    names = settings.names
    log.info("streaming %s into bucket %s of %s", names.topic, names.bucket, settings.influxdb_url)
    pulse.tell(State.RUNNING, f"{names.topic} into {names.bucket}")
    drain_since: datetime | None = None
    while stream.query.isActive:
        if signals.received is not None:
            _stop(stream, signals.received.name)
            return
        if drain_since is None and not available_now and drain_is_requested(settings.stream_state):
            drain_since = datetime.now(UTC)
            log.info("asked to end once nothing is left in %s", names.topic)
            pulse.tell(State.DRAINING, "ends once nothing is left to read")
        if drain_since is not None and totals.idle_at is not None and totals.idle_at > drain_since:
            _stop(stream, "nothing is left")
            return
        if watch.problem is not None:
            _stop(stream, "the topic is no longer what it was")
            raise StreamFailedError(f"{names.topic} into {names.bucket}: {watch.problem}")
        time.sleep(_LOOK_SECONDS)
    stream.settle()
    cause = stream.cause()
    if cause is not None:
        raise StreamFailedError(f"{names.topic} into {names.bucket}: {watch.cause() or cause}")


@contextmanager
def _watch(settings: StreamSettings, totals: Totals) -> Iterator["Watch"]:
    from spark_streaming.checkpoint import CheckpointError
    from spark_streaming.watch import UnusableTopicError, Watch

    try:
        with Watch(settings, totals) as watch:
            yield watch
    except (CheckpointError, UnusableTopicError) as error:
        raise StreamFailedError(f"{settings.names.topic} into {settings.names.bucket}: {error}") from None


def _stop(stream: "Stream", why: str) -> None:
    if not stream.stop(_STOP_PATIENCE_SECONDS):
        log.warning("stopped in the middle of a batch, which the next start does again")
    log.info("stopped: %s", why)


def _close(spark: "SparkSession") -> None:
    try:
        spark.stop()
    except Exception as error:  # a signal to the whole group may have ended the JVM first, and all is written by now
        log.warning("Spark was gone before it was stopped: %s", error)


def _report(pipes: "PipesContext", settings: StreamSettings, totals: Totals, seconds: float) -> None:
    """Tell Dagster the totals: the materialization of the asset that this run is for."""
    newest = totals.newest
    pipes.report_asset_materialization(
        metadata={
            "points": totals.points,
            "dead_lettered": totals.rejected,
            "batches": totals.batches,
            "end_offsets": {"raw_value": {str(p): offset for p, offset in totals.offsets.items()}, "type": "json"},
            "newest_event": {"raw_value": newest.timestamp(), "type": "timestamp"} if newest else "none",
            "seconds": round(seconds, 1),
            "points_per_second": round(totals.points / totals.seconds) if totals.seconds else 0,
            "bucket": settings.names.bucket,
            "measurement": settings.influxdb_measurement,
        }
    )
