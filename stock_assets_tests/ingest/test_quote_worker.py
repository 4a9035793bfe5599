"""The worker of the quotes: what fails is tried again, told, and never lost."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event

import pytest

from infra.servers import kafka
from infra.settings import StackSettings
from spark_streaming.contract.schema import Source, names_of
from stock_assets.ingest.publisher import Publisher
from stock_assets.ingest.quote_worker import QuoteWorker
from stock_assets.market.quotes import Quote
from stock_assets.resources.kafka import KafkaResource
from stock_assets.sources.base import QuoteStatus
from stock_assets_tests.services.waiting import eventually

pytestmark = pytest.mark.services

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
QUOTES = [Quote("AMZN", AT + timedelta(milliseconds=n), 200 + n) for n in range(5)]


class Faltering:
    """Gives one quote after the other, and raises an error before the third."""

    def __init__(self) -> None:
        self.status = QuoteStatus("as a test wants it")
        self.left = list(QUOTES)
        self.faults = 1

    def batches(self, stop: Event) -> Iterator[Sequence[Quote]]:
        while self.left and not stop.is_set():
            if len(self.left) == 3 and self.faults:
                self.faults -= 1
                raise RuntimeError("the database of the watchlist is away")
            yield [self.left.pop(0)]
        stop.wait()


@pytest.fixture
def topic(kafka_server: StackSettings) -> str:
    names = names_of(Source.YAHOO, quote_topic=f"quotes-{uuid.uuid4().hex[:12]}")
    kafka.create_topics(kafka_server, names)
    return names.quote_topic


def published(stack: StackSettings, topic: str) -> list[bytes | None]:
    return [message.value for message in KafkaResource(bootstrap_servers=stack.kafka_address).messages(topic)]


def test_a_source_that_fails_begins_again_and_the_failure_is_told(kafka_server: StackSettings, topic: str) -> None:
    told = set()
    with QuoteWorker(Faltering(), partial(Publisher, kafka_server.kafka_address, topic)) as worker:

        def all_are_there() -> bool:
            told.add(worker.heartbeat.detail)
            return worker.heartbeat.records == len(QUOTES)

        eventually(all_are_there)
        assert worker.heartbeat.newest_event == QUOTES[-1].time
    assert "RuntimeError: the database of the watchlist is away" in told
    assert worker.heartbeat.detail == "as a test wants it"
    assert published(kafka_server, topic) == [quote.value for quote in QUOTES]


def test_what_kafka_does_not_take_is_sent_until_it_does(kafka_server: StackSettings, topic: str) -> None:
    missing = iter([f"no-such-topic-{uuid.uuid4().hex[:12]}"])  # Kafka makes none by itself: the sending is refused
    told = set()

    def publisher() -> Publisher:
        return Publisher(kafka_server.kafka_address, next(missing, topic), acknowledge_seconds=2)

    with QuoteWorker(Faltering(), publisher) as worker:

        def all_are_there() -> bool:
            told.add(worker.heartbeat.detail)
            return worker.heartbeat.records == len(QUOTES)

        eventually(all_are_there)
    assert any("Timeout" in detail for detail in told), told
    assert published(kafka_server, topic) == [quote.value for quote in QUOTES]
