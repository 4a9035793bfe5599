"""The topic and the checkpoint, looked at while the stream starts and while it runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings import StackSettings
from spark_streaming.contract.schema import SourceNames
from spark_streaming.feed import bar_feed
from spark_streaming.kafka.topics import TopicReader, TopicState
from spark_streaming.runtime import topic_watcher
from spark_streaming.runtime.progress import Totals
from spark_streaming.settings import StreamSettings
from stock_assets_tests.services.waiting import until
from stock_assets_tests.spark_streaming.cases import SENT
from stock_assets_tests.spark_streaming.kafka_messages import bars, send

pytestmark = pytest.mark.services


def settings_of(stack: StackSettings, names: SourceNames, state: Path, **more: object) -> StreamSettings:
    return StreamSettings(
        source="yahoo",
        kafka_bootstrap_servers=stack.kafka_address,
        stock_price_kafka_topic=names.topic,
        influx_token="none",
        stream_state=state,
        spark_jars=state,
        **more,  # type: ignore[arg-type]
    )


class SlowReader(TopicReader):
    """The real one, whose answer is on its way for so long that the stream does something."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)
    reads = 0

    def read_state(self) -> TopicState | None:
        found = super().read_state()
        type(self).meanwhile()
        type(self).reads += 1
        return found


def test_what_is_stored_while_kafka_answers_is_not_taken_for_read_beyond_the_end(
    stack: StackSettings, fresh_topic: SourceNames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(stack, fresh_topic, tmp_path)
    totals = Totals()
    send(stack.kafka_address, fresh_topic.topic, bars(10), SENT, partition=0)

    def store_more() -> None:
        if SlowReader.reads:  # not at the start, before there is a stream
            send(stack.kafka_address, fresh_topic.topic, bars(1), SENT, partition=0)
            totals.commit(SlowReader.reads, {0: 10 + SlowReader.reads, 1: 0, 2: 0, 3: 0})

    monkeypatch.setattr(SlowReader, "meanwhile", staticmethod(store_more))
    monkeypatch.setattr(topic_watcher, "TopicReader", SlowReader)
    with topic_watcher.TopicWatcher(settings, bar_feed(settings), totals) as watching:
        until(lambda: SlowReader.reads > 3)
        assert watching.problem is None
        assert totals.offsets[0] > 10


@pytest.fixture
def start(
    stack: StackSettings, fresh_topic: SourceNames, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Callable[..., bool]:
    """Starts with settings; returns whether the stream goes on from its checkpoint."""

    def start(**more: object) -> bool:
        settings = settings_of(stack, fresh_topic, tmp_path, **more)
        caplog.clear()
        with topic_watcher.TopicWatcher(settings, bar_feed(settings), Totals()):
            pass
        goes_on = (tmp_path / "checkpoint").exists()
        assert goes_on == ("the topic is read from its start" not in caplog.text)
        write_checkpoint(tmp_path / "checkpoint", fresh_topic.topic)  # as Spark would now
        return goes_on

    write_checkpoint(tmp_path / "checkpoint", fresh_topic.topic)
    return start


def write_checkpoint(folder: Path, topic: str) -> None:
    for name in ("offsets", "commits"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "metadata").write_text('{"id": "one"}')
    (folder / "offsets" / "0").write_text(f"v1\n{json.dumps({topic: dict.fromkeys(range(4), 0)})}")
    (folder / "commits" / "0").write_text("v1\n{}")


def test_another_measurement_or_database_has_the_topic_read_from_its_start(start: Callable[..., bool]) -> None:
    assert start()
    assert not start(influxdb_measurement="other-v1")
    assert start(influxdb_measurement="other-v1")
    assert not start(influxdb_measurement="other-v1", influxdb_bucket="others")
    assert not start()


def test_another_spelling_of_the_address_goes_on(start: Callable[..., bool]) -> None:
    assert start(influxdb_url="http://127.0.0.1:8086")
    assert start(influxdb_url="http://LocalHost:8086/")
    assert not start(influxdb_url="http://localhost:8087")


def test_a_file_of_an_older_version_or_of_another_shape_goes_on_and_is_made_anew(
    start: Callable[..., bool], tmp_path: Path
) -> None:
    origin = tmp_path / "topic.json"
    assert start()
    whole = json.loads(origin.read_text())
    assert whole.keys() == {"id", "target", "measurement"}
    older = {"id": whole["id"], "target": "http://localhost:8086/ stocks stock-prices"}
    for left in ({}, {"id": whole["id"]}, older, [1, 2], {"id": 7}, 5, None):
        origin.write_text(json.dumps(left))
        assert start(), left
        assert json.loads(origin.read_text()) == whole
    origin.unlink()
    assert start()
    assert json.loads(origin.read_text()) == whole
