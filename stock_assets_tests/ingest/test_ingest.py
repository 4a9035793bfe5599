"""The producer program on the real Kafka and PostgreSQL."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.servers import kafka
from infra.settings import StackSettings, service_environment
from spark_streaming.contract.heartbeat import ProgramState, read_heartbeat
from spark_streaming.contract.process_lock import EXIT_LOCKED, is_locked
from spark_streaming.contract.quote_validity import quote_rejection_reason
from spark_streaming.contract.schema import Source, source_names
from stock_assets.pipeline.kafka_records import KafkaRecord
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import IngestSettings
from stock_assets.store.coverage import read_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets_tests.services.waiting import until

pytestmark = pytest.mark.services

ROWS = [f"AAPL,1m,2026-11-20T14:{minute}:00Z,10,11,9,10.5,100\n" for minute in range(30, 36)]
HEADER = "symbol,interval,timestamp,open,high,low,close,volume\n"


@dataclass
class Producer:
    """Starts the program with a topic of its own, and reads what it has published and written."""

    stack: StackSettings
    source: Source
    topic: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        quotes = f"{self.topic}-quotes"
        kafka.create_topics(self.stack, source_names(self.source, self.topic, quote_topic=quotes))
        self.settings = IngestSettings(
            stocks_home=self.stack.stocks_home,
            source=self.source,
            stock_price_kafka_topic=self.topic,
            stock_quote_kafka_topic=quotes,
        )
        upgrade(self.settings)
        self.engine = make_engine(self.settings.postgres)
        with self.engine.begin() as connection:
            connection.execute(text("TRUNCATE ingest_coverage"))

    def start(self, **environment: str) -> subprocess.Popen[str]:
        settings = {
            "STOCKS_HOME": str(self.stack.stocks_home),
            "SOURCE": self.source.value,
            "STOCK_PRICE_KAFKA_TOPIC": self.topic,
            "STOCK_QUOTE_KAFKA_TOPIC": self.settings.stock_quote_kafka_topic,
        }
        command = [sys.executable, "-m", "stock_assets.ingest"]
        pipe = subprocess.PIPE
        program = subprocess.Popen(command, env=service_environment() | settings | environment, stderr=pipe, text=True)
        self.started.append(program)
        return program

    def messages(self) -> list[KafkaRecord]:
        return self.messages_of(self.settings.names.topic)

    def messages_of(self, topic: str) -> list[KafkaRecord]:
        return list(KafkaResource(bootstrap_servers=self.stack.kafka_address).messages(topic))

    @property
    def state(self) -> Path:
        return self.settings.state_of("ingest")

    def wait_until_published(self, program: subprocess.Popen[str]) -> None:
        """Wait for a heartbeat of `program` that counts something published."""

        def has_published() -> bool:
            heartbeat = read_heartbeat(self.state)
            return heartbeat is not None and heartbeat.pid == program.pid and heartbeat.records > 0

        until(has_published)


@pytest.fixture
def producer_of(stack: StackSettings) -> Iterator[Callable[[Source], Producer]]:
    made: list[Producer] = []

    def make(source: Source) -> Producer:
        made.append(Producer(stack, source))
        return made[-1]

    yield make
    for producer in made:
        for program in producer.started:
            if program.poll() is None:
                program.kill()
            program.communicate()
        producer.engine.dispose()


MakeProducer = Callable[[Source], Producer]


def test_a_file_is_published_once_and_covered(producer_of: MakeProducer, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + "".join(ROWS))
    producer = producer_of(Source.REPLAY)
    for _ in range(2):  # the second run publishes nothing
        program = producer.start(REPLAY_FILE=str(path))
        _, log = program.communicate(timeout=60)
        assert program.returncode == 0, log
    assert {message.key for message in producer.messages()} == {b"AAPL"}
    assert len(producer.messages()) == len(ROWS)
    [coverage] = read_coverage(producer.engine)
    assert coverage.newest_bar == datetime(2026, 11, 20, 14, 35, tzinfo=UTC)
    assert coverage.next_due is None
    heartbeat = read_heartbeat(producer.state)
    assert heartbeat is not None
    assert heartbeat.state is ProgramState.DONE


def test_a_bad_file_is_an_error_without_a_traceback_and_publishes_nothing(
    producer_of: MakeProducer, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + "".join(ROWS) + "AAPL,1m,2026-11-20T14:59:00Z,ten,11,9,10.5,100\n")
    producer = producer_of(Source.REPLAY)
    program = producer.start(REPLAY_FILE=str(path))
    _, log = program.communicate(timeout=60)
    assert program.returncode == 1
    assert "line 8: open 'ten' is not a finite number" in log
    assert "Traceback" not in log
    assert producer.messages() == []
    heartbeat = read_heartbeat(producer.state)
    assert heartbeat is not None
    assert heartbeat.state is ProgramState.FAILED
    assert "line 8" in heartbeat.detail


def test_a_second_producer_is_refused_and_after_sigterm_all_published_bars_are_covered(
    producer_of: MakeProducer,
) -> None:
    producer = producer_of(Source.SIMULATED)
    first = producer.start(STOCKS="AMZN,AAPL")
    producer.wait_until_published(first)
    second = producer.start(STOCKS="AMZN,AAPL")
    _, log = second.communicate(timeout=60)
    assert second.returncode == EXIT_LOCKED
    assert f"held by process {first.pid}" in log
    first.send_signal(signal.SIGTERM)
    _, log = first.communicate(timeout=30)
    assert first.returncode == 0, log
    assert not is_locked(producer.state)
    seconds = {row.symbol: row.covered_until for row in read_coverage(producer.engine)}
    newest = max(json.loads(message.value or b"")["timestamp"] for message in producer.messages())
    assert {f"{until:%Y-%m-%dT%H:%M:%SZ}" for until in seconds.values()} == {newest}


def test_quotes_are_published_with_the_bars_and_reported_in_the_heartbeat(producer_of: MakeProducer) -> None:
    producer = producer_of(Source.SIMULATED)
    program = producer.start(STOCKS="AMZN,AAPL", SIMULATED_BARS="4")
    _, log = program.communicate(timeout=60)
    assert program.returncode == 0, log
    quotes = producer.messages_of(producer.settings.names.quote_topic)
    assert {message.key for message in quotes} == {b"AMZN", b"AAPL"}
    assert all(quote_rejection_reason(quote.key, quote.value, datetime.now(UTC)) is None for quote in quotes)
    heartbeat = read_heartbeat(producer.state)
    assert heartbeat is not None
    assert heartbeat.quotes is not None
    assert (heartbeat.quotes.records, heartbeat.quotes.detail) == (len(quotes), "simulated")
    assert sum(heartbeat.quotes.offsets.values()) == len(quotes)
    assert heartbeat.records == len(producer.messages()) == 8


def test_after_a_kill_the_next_producer_leaves_no_gap(producer_of: MakeProducer) -> None:
    producer = producer_of(Source.SIMULATED)
    begin = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    environment = {"STOCKS": "AMZN", "STACK_STARTED_AT": begin, "SIMULATED_BARS": "8"}
    killed = producer.start(**environment)
    producer.wait_until_published(killed)
    killed.kill()
    killed.wait()
    last = producer.start(**environment)
    _, log = last.communicate(timeout=60)
    assert last.returncode == 0, log
    starts = {json.loads(message.value or b"")["timestamp"] for message in producer.messages()}
    first = datetime.fromisoformat(begin)
    assert starts == {f"{first + timedelta(seconds=n):%Y-%m-%dT%H:%M:%SZ}" for n in range(8)}


def test_it_ends_with_the_process_that_started_it(producer_of: MakeProducer) -> None:
    producer = producer_of(Source.SIMULATED)
    program = producer.start(STOCKS="AMZN", PARENT_PID="1")  # as if its parent had ended before the check
    _, log = program.communicate(timeout=60)
    assert program.returncode == 0, log
    assert producer.messages() == []
