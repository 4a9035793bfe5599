"""Quotes from Yahoo's WebSocket to a query, through the real Kafka, Spark and InfluxDB, together with the bars."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient

from infra.servers import kafka
from infra.settings import StackSettings
from spark_streaming.contract.heartbeat import ProgramState
from spark_streaming.contract.schema import SourceNames
from stock_assets.ingest.publisher import Publisher
from stock_assets.ingest.quote_worker import QuoteWorker
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.quotes import RetryTimes, YahooQuotes
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.websocket import YahooWebSocket
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.services.waiting import until
from stock_assets_tests.services.yahoo_stream import StreamServer, frame_of, send_and_disconnect, send_and_wait
from stock_assets_tests.spark_streaming.cases import SENT, quote_cases
from stock_assets_tests.spark_streaming.conftest import Launcher, Program, environment_of
from stock_assets_tests.spark_streaming.influxdb_points import points_in
from stock_assets_tests.spark_streaming.kafka_messages import bars, everything_in, send

pytestmark = pytest.mark.services

CASES = quote_cases()
VALID = [case for case in CASES if case.reason is None]
OPEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # a Friday, half an hour after New York's open
MS = int(OPEN.timestamp() * 1000)
TICKS = [(MS, 217.1), (MS, 217.2), (MS + 1, 217.3)]  # two of one millisecond


def quotes_in(bucket: Bucket) -> dict[tuple[str, int], dict[str, Any]]:
    """Every quote of `bucket`: symbol, nanoseconds since 1970 -> fields."""
    query = f"""from(bucket: "{bucket.name}") |> range(start: 1970-01-01)
        |> filter(fn: (r) => r._measurement == "stock-quote-v1")
        |> map(fn: (r) => ({{r with at: string(v: int(v: r._time))}}))"""
    points: dict[tuple[str, int], dict[str, Any]] = {}
    with InfluxDBClient(bucket.url, bucket.read_token, org=bucket.org, timeout=60_000) as client:
        for record in client.query_api().query_stream(query):
            at = (record["symbol"], int(record["at"]))
            points.setdefault(at, {})[record.get_field()] = record.get_value()
    return points


@pytest.fixture
def yahoo() -> Iterator[StreamServer]:
    server = StreamServer()
    yield server
    server.close()


def publish_from(yahoo: StreamServer, broker: str, topic: str, count: int, cache: Path) -> None:
    """What the producer's worker makes of the server's frames, until it has published `count`."""
    source = YahooQuotes(
        watched=lambda: ["AMZN"],
        stream=YahooWebSocket(yahoo.address, yahoo.context),
        client=YahooClient(cache),
        rate_limiter=RateLimiter(cache / "turns.json", per_minute=60),
        retry_times=RetryTimes(first_backoff=0.05),
        now=lambda: OPEN,
    )
    with QuoteWorker(source, partial(Publisher, broker, topic)) as worker:
        until(lambda: worker.heartbeat.records == count)


def test_ticks_of_a_broken_connection_are_points_and_a_replay_changes_none(
    stack: StackSettings,
    fresh_topic: SourceNames,
    make_bucket: Callable[[], Bucket],
    connector_jars: Path,
    tmp_path: Path,
    yahoo: StreamServer,
) -> None:
    frames = [frame_of("AMZN", at, price, day_volume=2**40, market_hours=1) for at, price in TICKS]
    yahoo.scripts = [send_and_disconnect(frames[0], "garbage"), send_and_wait(frames[0], frames[1], frames[2])]
    publish_from(yahoo, stack.kafka_address, fresh_topic.quote_topic, len(TICKS), tmp_path)
    send(stack.kafka_address, fresh_topic.topic, bars(20), SENT)

    seen = []
    for number in range(2):  # the second one is a replay: another checkpoint, another bucket
        bucket, state = make_bucket(), tmp_path / str(number)
        environment = environment_of(stack, fresh_topic, bucket, connector_jars, state)
        launcher = Launcher(environment | {"STOCK_QUOTE_KAFKA_TOPIC": fresh_topic.quote_topic}, state, [])
        program = launcher.start("--available-now")
        assert program.end() == 0, program.log
        seen.append(quotes_in(bucket))
        assert program.heartbeat.quotes is not None
        assert (program.heartbeat.quotes.records, program.heartbeat.records) == (len(TICKS), 20)
    assert seen[0] == seen[1]
    assert [fields["price"] for _, fields in sorted(seen[0].items())] == [price for _, price in TICKS]
    assert [at // 10**6 for _, at in sorted(seen[0])] == [at for at, _ in TICKS]
    for fields in seen[0].values():
        assert fields == {
            "price": fields["price"], "change_percent": 0.0, "day_volume": 2**40, "market_phase": "regular",
        }  # fmt: skip


def test_bad_quotes_are_dead_lettered_while_bars_are_stored(
    stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket, launcher: Launcher
) -> None:
    broker, topic = stack.kafka_address, fresh_topic.quote_topic
    send(broker, topic, [(case.key, case.value) for case in CASES], SENT, partition=2)
    send(broker, fresh_topic.topic, bars(20), SENT)
    program = launcher.start("--available-now", STOCK_QUOTE_KAFKA_TOPIC=topic)
    assert program.end() == 0, program.log
    dead_letters = everything_in(broker, fresh_topic.quote_dead_letter_topic)
    rejected = {int(one.headers["source.offset"]): (one.key, one.value, one.headers["reason"]) for one in dead_letters}
    assert rejected == {n: (case.key, case.value, case.reason) for n, case in enumerate(CASES) if case.reason}
    assert {dead_letter.headers["source.topic"] for dead_letter in dead_letters} == {topic}
    assert len(quotes_in(fresh_bucket)) == len(VALID)
    assert everything_in(broker, fresh_topic.dead_letter_topic) == []
    heartbeat = program.heartbeat
    assert heartbeat.quotes is not None
    assert (heartbeat.quotes.rejected, heartbeat.quotes.lag) == (len(dead_letters), 0)
    assert (heartbeat.records, heartbeat.rejected) == (20, 0)


def reports(what: str) -> Callable[[Program], bool]:
    """Whether the heartbeat reports `what` of the quotes."""
    return lambda program: (
        program.has_begun() and program.heartbeat.quotes is not None and what in program.heartbeat.quotes.detail
    )


def test_a_feed_that_fails_stops_no_bars_is_reported_and_restarts(
    stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket, launcher: Launcher
) -> None:
    later = SourceNames(**(vars(fresh_topic) | {"quote_topic": f"{fresh_topic.quote_topic}-later"}))
    program = launcher.start(STOCK_QUOTE_KAFKA_TOPIC=later.quote_topic)
    program.wait_for(reports("Kafka has no such topic"))
    send(stack.kafka_address, later.topic, bars(20), datetime.now(UTC))
    program.wait_for(lambda program: program.heartbeat.records == 20)
    kafka.create_topics(stack, later)
    send(stack.kafka_address, later.quote_topic, [(case.key, case.value) for case in VALID], SENT)
    program.wait_for(lambda program: program.heartbeat.quotes is not None and program.heartbeat.quotes.lag == 0)
    program.wait_for(reports(" into "))
    assert len(points_in(fresh_bucket)) > 0
    assert len(quotes_in(fresh_bucket)) == len(VALID)
    program.process.terminate()
    assert program.end() == 0, program.log
    assert program.heartbeat.state is ProgramState.DONE
