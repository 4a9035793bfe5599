"""One run of the stream, from the lock to the last heartbeat."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spark_streaming.contract.heartbeat import ProgramState, read_heartbeat
from spark_streaming.contract.heartbeat_writer import HeartbeatWriter
from spark_streaming.contract.process_lock import ProcessLock
from spark_streaming.contract.program_control import clear_drain_request, end_with_parent
from spark_streaming.runtime.progress import Totals
from spark_streaming.runtime.signals import StopSignals
from spark_streaming.runtime.stop_policy import StopPolicy, StreamRun
from spark_streaming.runtime.supervision import StreamFailedError, supervise, watch_topic
from spark_streaming.settings import StreamSettings

if TYPE_CHECKING:
    from dagster_pipes import PipesContext
    from pyspark.sql import SparkSession

    from spark_streaming.feed import Feed
    from spark_streaming.runtime.metrics import MetricsWriter
    from spark_streaming.runtime.quotes_query import QuotesQuery
    from spark_streaming.runtime.topic_watcher import TopicWatcher

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1


def run(settings: StreamSettings, available_now: bool, pipes: "PipesContext | None") -> None:
    """Stream until requested to end, or, with `available_now`, until all that Kafka has at the start is stored.

    Args:
        settings: of the stream.
        available_now: see above.
        pipes: the Dagster run that started it; the totals are reported to it at the end.

    Raises:
        AlreadyRunningError: another process uses the same state.
        StreamFailedError: the query failed. Nothing is lost: the next start continues after the last whole batch.
    """
    signals = StopSignals()
    signals.listen()
    totals = Totals()
    started = time.monotonic()
    folder = settings.stream_state
    # Until the checkpoint is read: without offsets, all that the topic holds would seem to wait.
    if (last := read_heartbeat(folder)) is not None:
        totals.begin(last.offsets)
    with (
        ProcessLock(folder),
        HeartbeatWriter(folder, pipes.run_id if pipes else "", totals.figures) as heartbeat_writer,
        _report_failures(heartbeat_writer),
    ):
        heartbeat_writer.set_state(ProgramState.STARTING, "Spark is starting")
        if settings.parent_pid is not None:
            end_with_parent(settings.parent_pid)
        clear_drain_request(folder)
        # Spark takes a second to import: the lock and the heartbeat are first.
        from spark_streaming.feed import bar_feed

        feed = bar_feed(settings)
        quotes = _run_queries(StreamRun(settings, available_now, feed, totals, heartbeat_writer, signals))
        log.info("ended after %d batches: %d stored, %d rejected", totals.batches, totals.points, totals.rejected)
        if pipes is not None:
            seconds = time.monotonic() - started
            _report(pipes, feed, totals, seconds)
            if quotes is not None:
                _report(pipes, quotes.feed, quotes.totals, seconds)


@contextmanager
def _report_failures(heartbeat_writer: HeartbeatWriter) -> Iterator[None]:
    try:
        yield
    except StreamFailedError as error:  # its message is complete
        heartbeat_writer.set_state(ProgramState.FAILED, str(error))
        raise


def _run_queries(run: StreamRun) -> "QuotesQuery | None":
    """Run the queries of bars and quotes in one Spark session until they end.

    Returns:
        The quotes' query, with its totals; None where the source has no quotes, or a signal ended Spark before it.

    Raises:
        StreamFailedError: as `run`.
    """
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]

    from spark_streaming.runtime.metrics import MetricsWriter
    from spark_streaming.runtime.spark_session import open_session

    settings, quotes = run.settings, None
    with watch_topic(settings, run.feed, run.totals) as watch:
        spark = open_session(settings)
        run.signals.listen()  # again: pyspark has replaced the handler of SIGINT
        try:
            with (
                MetricsWriter(settings.target, run.totals, settings.program) as metrics,
                _open_quotes_query(spark, settings, run.available_now) as quotes,
            ):
                run.heartbeat_writer.quotes = lambda: quotes.heartbeat if quotes else None
                _stream(run, spark, watch, metrics, quotes)
        except (Py4JError, OSError) as error:
            if run.signals.received is None:
                raise
            log.warning("a signal has ended Spark itself; the next start repeats the running batch: %s", error)
        finally:
            _close(spark)
    return quotes


def _stream(
    run: StreamRun,
    spark: "SparkSession",
    watch: "TopicWatcher",
    metrics: "MetricsWriter",
    quotes: "QuotesQuery | None",
) -> None:
    from spark_streaming.runtime.query import StreamQuery

    feed = run.feed
    stream = StreamQuery(spark, run.settings, feed, run.totals, metrics, watch.partitions, run.available_now)
    log.info("streaming %s of %s", feed.description, run.settings.influxdb_url)
    run.heartbeat_writer.set_state(ProgramState.RUNNING, feed.description)
    supervise(feed, stream, watch, StopPolicy(run, quotes).reason_to_stop)
    if quotes is not None and run.available_now and run.signals.received is None:
        _finish_quotes(quotes, run.signals)


def _finish_quotes(quotes: "QuotesQuery", signals: StopSignals) -> None:
    quotes.begin()
    while not quotes.is_done and signals.received is None:
        time.sleep(_LOOK_SECONDS)
    if quotes.error is not None:
        raise quotes.error


@contextmanager
def _open_quotes_query(
    spark: "SparkSession", settings: StreamSettings, available_now: bool
) -> "Iterator[QuotesQuery | None]":
    from spark_streaming.feed import quote_feed
    from spark_streaming.runtime.quotes_query import QuotesQuery

    feed = quote_feed(settings)
    if feed is None:
        yield None
        return
    with QuotesQuery(spark, settings, feed, available_now) as quotes:
        yield quotes


def _close(spark: "SparkSession") -> None:
    try:
        spark.stop()
    except Exception as error:  # a signal to the whole group may have ended the JVM first, and all is written by now
        log.warning("Spark had ended before it was stopped: %s", error)


def _report(pipes: "PipesContext", feed: "Feed", totals: Totals, seconds: float) -> None:
    """Report the totals to Dagster, as the materialization of the feed's asset."""
    newest = totals.newest
    pipes.report_asset_materialization(
        asset_key=feed.asset,
        metadata={
            "points": totals.points,
            "dead_lettered": totals.rejected,
            "batches": totals.batches,
            "end_offsets": {"raw_value": {str(p): offset for p, offset in totals.offsets.items()}, "type": "json"},
            "newest_event": {"raw_value": newest.timestamp(), "type": "timestamp"} if newest else "none",
            "seconds": round(seconds, 1),
            "points_per_second": round(totals.points / totals.seconds) if totals.seconds else 0,
            "bucket": feed.target.bucket,
            "measurement": feed.target.measurement,
        },
    )
