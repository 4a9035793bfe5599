"""The worker that publishes quotes: failures are retried and reported, and no quote is lost."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event

import pytest

from infra.servers import kafka
from infra.settings import StackSettings
from spark_streaming.contract.schema import Source, source_names
from stock_assets.ingest.publisher import Publisher
from stock_assets.ingest.quote_worker import QuoteWorker
from stock_assets.market.quotes import Quote
from stock_assets.resources.kafka import KafkaResource
from stock_assets.sources.base import QuoteStatus
from stock_assets_tests.services.waiting import until

pytestmark = pytest.mark.services

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
QUOTES = [Quote("AMZN", AT + timedelta(milliseconds=n), 200 + n) for n in range(5)]


class FailingSource:
    """Gives one quote after the other, and raises once before the third."""

    def __init__(self) -> None:
        self.status = QuoteStatus("no failure")
        self.remaining = list(QUOTES)
        self.failures = 1

    def batches(self, stop: Event) -> Iterator[Sequence[Quote]]:
        while self.remaining and not stop.is_set():
            if len(self.remaining) == 3 and self.failures:
                self.failures -= 1
                raise RuntimeError("the watchlist can't be read")
            yield [self.remaining.pop(0)]
        stop.wait()


@pytest.fixture
def topic(kafka_server: StackSettings) -> str:
    names = source_names(Source.YAHOO, quote_topic=f"quotes-{uuid.uuid4().hex[:12]}")
    kafka.create_topics(kafka_server, names)
    return names.quote_topic


def published(stack: StackSettings, topic: str) -> list[bytes | None]:
    return [message.value for message in KafkaResource(bootstrap_servers=stack.kafka_address).messages(topic)]


def test_a_failed_source_is_restarted_and_the_failure_is_in_the_heartbeat(
    kafka_server: StackSettings, topic: str
) -> None:
    details = set()
    with QuoteWorker(FailingSource(), partial(Publisher, kafka_server.kafka_address, topic)) as worker:

        def all_are_published() -> bool:
            details.add(worker.heartbeat.detail)
            return worker.heartbeat.records == len(QUOTES)

        until(all_are_published)
        assert worker.heartbeat.newest_event == QUOTES[-1].time
    assert "RuntimeError: the watchlist can't be read" in details
    assert worker.heartbeat.detail == "no failure"
    assert published(kafka_server, topic) == [quote.value for quote in QUOTES]


def test_quotes_are_sent_again_until_kafka_acknowledges_them(kafka_server: StackSettings, topic: str) -> None:
    missing = iter([f"no-such-topic-{uuid.uuid4().hex[:12]}"])  # Kafka does not create topics: sending fails
    details = set()

    def publisher() -> Publisher:
        return Publisher(kafka_server.kafka_address, next(missing, topic), acknowledge_seconds=2)

    with QuoteWorker(FailingSource(), publisher) as worker:

        def all_are_published() -> bool:
            details.add(worker.heartbeat.detail)
            return worker.heartbeat.records == len(QUOTES)

        until(all_are_published)
    assert any("Timeout" in detail for detail in details), details
    assert published(kafka_server, topic) == [quote.value for quote in QUOTES]
