"""Quotes beside the bars: a worker in a thread of its own, whose failures are its own and stand in the heartbeat."""

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
_END_SECONDS = 10.0  # what it may take to end: then the process ends without it


class QuoteWorker:
    """Publishes what a source gives while it is open.

    What Kafka does not acknowledge is sent again until it does; a quote may then be there twice, never not at all.
    Meanwhile nothing is read from the source.
    """

    def __init__(self, source: QuoteSource, publisher: Callable[[], Publisher]) -> None:
        """`publisher` makes one: after an error a Kafka client is of no more use."""
        self._source, self._make = source, publisher
        self._publisher: Publisher | None = None
        self._beat = FeedHeartbeat()
        self._failure = ""
        self._failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quotes", daemon=True)

    @property
    def beat(self) -> FeedHeartbeat:
        """What was done, and how it goes."""
        return replace(self._beat, detail=self._failure or self._source.status.how)

    @property
    def count(self) -> dict[str, int]:
        """What went wrong, by its kind, as the source counts it."""
        return dict(self._source.status.count)

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
            except Exception as error:  # the bars go on; the heartbeat and the checks tell of it
                log.exception("quotes have failed, and begin again in a while")
                self._fail(error)
        self._close()

    def _publish(self, quotes: Sequence[Quote]) -> None:
        while quotes and not self._stop.is_set():
            try:
                self._publisher = self._publisher or self._make()
                offsets = self._publisher.publish(quotes)
            except KafkaError as error:
                log.warning("quotes: Kafka has not taken %d: %s: %s", len(quotes), type(error).__name__, error)
                self._close()
                self._fail(error)
                continue
            self._beat = replace(
                self._beat,
                records=self._beat.records + len(quotes),
                offsets={**self._beat.offsets, **offsets},
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
