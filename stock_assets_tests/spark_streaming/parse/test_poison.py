"""Messages on which a batch could fail each time anew: all of them are settled, and the stream goes on."""

import json
from collections import Counter

import pytest
from kafka import KafkaProducer

from infra.settings import StackSettings
from spark_streaming.contract.schema import MAX_DEAD_LETTER_BYTES, SourceNames
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.cases import BAR, SENT
from stock_assets_tests.spark_streaming.conftest import Launcher
from stock_assets_tests.spark_streaming.influxdb_points import points_in
from stock_assets_tests.spark_streaming.kafka_messages import everything_in, send

pytestmark = pytest.mark.services


def bar(symbol: str, more: bytes = b"") -> tuple[bytes, bytes]:
    return symbol.encode(), json.dumps(BAR | {"symbol": symbol}).encode()[:-1] + more + b"}"


def nested(depth: int) -> tuple[bytes, bytes]:
    return bar(f"DEEP{depth}", b', "a": ' + b"[" * depth + b"]" * depth)


def test_deep_nesting_has_one_result_in_every_reader(
    launcher: Launcher, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    depths = range(800, 1000)
    send(stack.kafka_address, fresh_topic.topic, [bar("A"), *map(nested, depths)], SENT, partition=1)
    assert launcher.start("--available-now").end() == 0
    assert {symbol for symbol, _, _ in points_in(fresh_bucket)} == {"A"}
    dead_letters = everything_in(stack.kafka_address, fresh_topic.dead_letter_topic)
    assert Counter(dead_letter.headers["reason"] for dead_letter in dead_letters) == {"nested-too-deep": len(depths)}


def test_a_message_that_fitted_only_compressed_is_dead_lettered_whole(
    launcher: Launcher, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    large = bar("LARGE", b" " * 5 * MAX_DEAD_LETTER_BYTES)
    producer = KafkaProducer(
        bootstrap_servers=stack.kafka_address, compression_type="gzip", max_request_size=2 * len(large[1])
    )
    for key, value in (large, bar("A")):
        producer.send(fresh_topic.topic, key=key, value=value).get(timeout=60)
    producer.close()
    assert launcher.start("--available-now").end() == 0
    assert {symbol for symbol, _, _ in points_in(fresh_bucket)} == {"A"}
    (dead_letter,) = everything_in(stack.kafka_address, fresh_topic.dead_letter_topic)
    assert (dead_letter.key, dead_letter.value) == large
    assert dead_letter.headers["reason"] == "value-too-large"
