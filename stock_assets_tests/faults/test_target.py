"""A home that moves to another database or measurement: what the old one has, the new one gets."""

from collections.abc import Callable

import pytest

from infra.settings import StackSettings
from spark_streaming.contract.schema import SourceNames
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.cases import SENT
from stock_assets_tests.spark_streaming.conftest import Launcher
from stock_assets_tests.spark_streaming.influxdb_points import points_in
from stock_assets_tests.spark_streaming.kafka_messages import bars, send

pytestmark = pytest.mark.services


def test_another_database_or_measurement_gets_all_that_the_topic_holds(
    launcher: Launcher,
    stack: StackSettings,
    fresh_topic: SourceNames,
    fresh_bucket: Bucket,
    make_bucket: Callable[[], Bucket],
) -> None:
    send(stack.kafka_address, fresh_topic.topic, bars(300), SENT)
    assert launcher.start("--available-now").end() == 0
    other = make_bucket()
    moved = launcher.start("--available-now", INFLUXDB_BUCKET=other.name, INFLUX_TOKEN=other.write_token)
    assert moved.end() == 0
    assert "the topic is read from its start" in moved.log
    assert set(moved.heartbeat.phases) >= {"plan_seconds", "work_seconds", "record_seconds", "write_seconds"}
    assert len(points_in(fresh_bucket)) == 300
    assert points_in(other) == points_in(fresh_bucket)

    stays = launcher.start("--available-now", INFLUXDB_BUCKET=other.name, INFLUX_TOKEN=other.write_token)
    assert stays.end() == 0
    assert "ended after 0 batches" in stays.log

    moved = launcher.start("--available-now", INFLUXDB_MEASUREMENT="other-v1")
    assert moved.end() == 0
    assert "the topic is read from its start" in moved.log
    assert points_in(fresh_bucket, "other-v1") == points_in(other)
