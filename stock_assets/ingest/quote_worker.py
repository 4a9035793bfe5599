"""Publishes quotes in a thread of their own: a failure does not affect the bars and is shown in the heartbeat."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from kafka.errors import KafkaError

from spark_streaming.contract.backoff import delay_seconds
from spark_streaming.contract.heartbeat import FeedHeartbeat
from stock_assets.ingest.publisher import Publisher
from stock_assets.market.quotes import Quote
from stock_assets.sources.base import QuoteSource

log = logging.getLogger("ingest")

_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 60.0
_END_SECONDS = 10.0  # to wait for the thread; after that the process ends without it


class QuoteWorker:
    """Publishes what a source gives while the context is open.

    Quotes that Kafka does not acknowledge are sent again until it does, so a quote may be published twice. Meanwhile
    nothing is read from the source.
    """

    def __init__(self, source: QuoteSource, make_publisher: Callable[[], Publisher]) -> None:
        """`make_publisher` makes a new publisher: after an error a Kafka client can't be used any more."""
        self._source, self._make_publisher = source, make_publisher
        self._publisher: Publisher | None = None
        self._heartbeat = FeedHeartbeat()
        self._failure = ""
        self._failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quotes", daemon=True)

    @property
    def heartbeat(self) -> FeedHeartbeat:
        """What was published, and the worker's failure or the source's state."""
        return replace(self._heartbeat, detail=self._failure or self._source.status.detail)

    @property
    def counts(self) -> dict[str, int]:
        """The source's counts, by kind."""
        return dict(self._source.status.counts)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for quotes in self._source.batches(self._stop):
                    self._publish(quotes)
                    self._failure, self._failures = "", 0
            except Exception as error:  # bars are still published; heartbeat and checks report it
                log.exception("quotes: the source failed; retrying after a back-off")
                self._fail(error)
        self._close()

    def _publish(self, quotes: Sequence[Quote]) -> None:
        while quotes and not self._stop.is_set():
            try:
                self._publisher = self._publisher or self._make_publisher()
                offsets = self._publisher.publish(quotes)
            except KafkaError as error:
                log.warning(
                    "quotes: %d not published, retrying after a back-off: %s: %s",
                    len(quotes),
                    type(error).__name__,
                    error,
                )
                self._close()
                self._fail(error)
                continue
            self._heartbeat = replace(
                self._heartbeat,
                records=self._heartbeat.records + len(quotes),
                offsets={**self._heartbeat.offsets, **offsets},
                newest_event=max(quote.time for quote in quotes),
            )
            return

    def _fail(self, error: Exception) -> None:
        self._failure = f"{type(error).__name__}: {error}"
        self._failures += 1
        self._stop.wait(delay_seconds(self._failures, _FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS))

    def _close(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None
