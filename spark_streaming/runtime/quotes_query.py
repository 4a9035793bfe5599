"""The query of the quotes, in the same Spark as the bars, which its failures don't touch.

It has a separate thread, checkpoint and query. Where it fails it starts again after a delay; the bars go on, and
the heartbeat has the error.
"""

import logging
import threading
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from spark_streaming.contract.backoff import delay_seconds
from spark_streaming.contract.heartbeat import FeedHeartbeat
from spark_streaming.runtime.progress import Totals
from spark_streaming.runtime.supervision import StreamFailedError, supervise, watch_topic

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_streaming.feed import Feed
    from spark_streaming.settings import StreamSettings

log = logging.getLogger(__name__)

_FIRST_BACKOFF_SECONDS = 5.0
_LONGEST_BACKOFF_SECONDS = 300.0
_JOIN_SECONDS = 12.0  # above what a query may take to stop


class QuotesQuery:
    """Runs a feed until it is closed or, with `available_now`, until all that Kafka has at the start is stored."""

    def __init__(self, spark: "SparkSession", settings: "StreamSettings", feed: "Feed", available_now: bool) -> None:
        self.feed = feed
        self.totals = Totals()
        self.error: Exception | None = None  # after which it tries again, or with `available_now` has ended
        self._spark, self._settings, self._available_now = spark, settings, available_now
        self._may_begin, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="quotes", daemon=True)

    def __enter__(self) -> Self:
        self.feed.folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._thread.join(_JOIN_SECONDS)

    def begin(self) -> None:
        """Start the query: after the bars' first batch, which it would delay."""
        self._may_begin.set()

    def end(self) -> None:
        """Have the query stopped after its batch; leaving waits for that."""
        self._ended.set()
        self._may_begin.set()

    @property
    def heartbeat(self) -> FeedHeartbeat:
        """Its part of the program's heartbeat."""
        known = {field.name for field in fields(FeedHeartbeat)}
        figures = {name: value for name, value in self.totals.figures().items() if name in known}
        return FeedHeartbeat(**figures, detail=str(self.error) if self.error else self.feed.description)

    @property
    def is_done(self) -> bool:
        """Whether it has ended without being stopped."""
        return not self._thread.is_alive()

    def is_idle_since(self, moment: datetime) -> bool:
        """Return whether nothing was left to read after `moment`; True also if the topic can't be read."""
        idle_at = self.totals.idle_at
        return self.error is not None or self.is_done or (idle_at is not None and idle_at > moment)

    def _run(self) -> None:
        failures = 0
        self._may_begin.wait()
        while not self._ended.is_set():
            began = datetime.now(UTC)
            try:
                self._stream()
                return
            except Exception as error:
                if self._ended.is_set():  # Spark has ended meanwhile
                    return
                self.error = error
                if self._available_now:
                    return
                ran = (datetime.now(UTC) - began).total_seconds()
                failures = 1 if ran > _LONGEST_BACKOFF_SECONDS else failures + 1
                delay = delay_seconds(failures, _FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS)
                known = isinstance(error, StreamFailedError)
                log.error("quotes have failed, and start again in %.0f s: %s", delay, error, exc_info=not known)
                self._ended.wait(delay)

    def _stream(self) -> None:
        from spark_streaming.runtime.metrics import MetricsWriter
        from spark_streaming.runtime.query import StreamQuery

        with (
            watch_topic(self._settings, self.feed, self.totals) as watch,
            MetricsWriter(self._settings.target, self.totals, self.feed.name) as metrics,
        ):
            stream = StreamQuery(
                self._spark, self._settings, self.feed, self.totals, metrics, watch.partitions, self._available_now
            )
            log.info("streaming %s", self.feed.description)
            self.error = None
            supervise(self.feed, stream, watch, lambda: "the stream ends" if self._ended.is_set() else None)
