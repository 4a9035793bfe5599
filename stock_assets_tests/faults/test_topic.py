"""A topic that is no longer what it was ends the stream, loudly, and nothing is skipped."""

import json
import shutil

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec

from infra.servers import kafka
from infra.settings import StackSettings
from spark_streaming.contract.heartbeat import ProgramState
from spark_streaming.contract.schema import PARTITIONS, SourceNames
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.cases import SENT
from stock_assets_tests.spark_streaming.conftest import Launcher, Program
from stock_assets_tests.spark_streaming.influxdb_points import points_in
from stock_assets_tests.spark_streaming.kafka_messages import bars, send

pytestmark = pytest.mark.services


def refused(launcher: Launcher) -> str:
    """The error with which the program refuses to start; takes no Spark."""
    return ended(launcher.start("--available-now"))


def ended(program: Program) -> str:
    assert program.end() == 1, program.log
    assert program.heartbeat.state is ProgramState.FAILED
    assert program.heartbeat.detail in program.log
    assert "Traceback" not in program.log
    return program.heartbeat.detail


def test_a_changed_topic_is_reported_and_nothing_is_skipped(
    launcher: Launcher, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    name, broker = fresh_topic.topic, stack.kafka_address
    admin = KafkaAdminClient(bootstrap_servers=broker)
    assert "Kafka has no such topic" in refused_without_topic(launcher)
    send(broker, name, bars(100), SENT)

    running = launcher.start()
    running.wait_for(lambda program: program.has_stored_something() and program.heartbeat.lag == 0)
    admin.create_partitions({name: PARTITIONS + 1})
    assert f"has {PARTITIONS + 1} partitions and had {PARTITIONS}" in ended(running)
    assert f"has {PARTITIONS + 1} partitions and had {PARTITIONS}" in refused(launcher)
    points = points_in(fresh_bucket)
    assert len(points) == 100

    # A folder that was kept from before, for a topic that was created again.
    shutil.rmtree(launcher.state / "checkpoint")
    assert launcher.start("--available-now").end() == 0
    assert points_in(fresh_bucket) == points, "a lost checkpoint reads all again, and changes nothing"

    cut = launcher.state / "checkpoint" / "offsets" / "0"
    whole = cut.read_bytes()
    cut.write_bytes(whole[:-10])
    assert f"remove {launcher.state / 'checkpoint'} and start again" in refused(launcher)
    cut.write_bytes(whole)

    send(broker, name, bars(100), SENT, partition=2)
    (offset,) = (
        one.offset for one in admin.list_partition_offsets({TopicPartition(name, 2): OffsetSpec.LATEST}).values()
    )
    admin.delete_records({TopicPartition(name, 2): offset - 10})
    assert f"partition 2: offsets {offset - 100} to {offset - 11}" in refused(launcher)

    admin.delete_topics([name])
    assert "the topic is gone from Kafka" in refused(launcher)
    kafka.create_topics(stack, fresh_topic)
    admin.create_partitions({name: PARTITIONS + 1})
    assert "deleted and created again" in refused(launcher)
    (launcher.state / "topic.json").write_text(json.dumps({}))  # of an older version
    assert "the topic ends before what was read of it" in refused(launcher)
    assert points_in(fresh_bucket) == points
    admin.close()


def refused_without_topic(launcher: Launcher) -> str:
    program = launcher.start(STOCK_PRICE_KAFKA_TOPIC="no-such-topic")
    return ended(program)
