"""The look at the topic beside the stream, which goes on meanwhile."""

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
from stock_assets_tests.infra.terminal import until
from stock_assets_tests.spark_streaming.cases import SENT
from stock_assets_tests.spark_streaming.kafka_messages import bars, send

pytestmark = pytest.mark.services


class SlowReader(TopicReader):
    """The real one, whose answer is on its way for so long that the stream does something."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)
    looks = 0

    def look(self) -> TopicState | None:
        found = super().look()
        type(self).meanwhile()
        type(self).looks += 1
        return found


def test_what_is_stored_while_kafka_answers_is_not_taken_for_read_beyond_the_end(
    stack: StackSettings, fresh_topic: SourceNames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = StreamSettings(
        source="yahoo",
        kafka_bootstrap_servers=stack.kafka_address,
        stock_price_kafka_topic=fresh_topic.topic,
        influx_token="none",
        stream_state=tmp_path,
        spark_jars=tmp_path,
    )
    totals = Totals()
    send(stack.kafka_address, fresh_topic.topic, bars(10), SENT, partition=0)

    def store_more() -> None:
        if SlowReader.looks:  # not at the start, before there is a stream
            send(stack.kafka_address, fresh_topic.topic, bars(1), SENT, partition=0)
            totals.commit(SlowReader.looks, {0: 10 + SlowReader.looks, 1: 0, 2: 0, 3: 0})

    monkeypatch.setattr(SlowReader, "meanwhile", staticmethod(store_more))
    monkeypatch.setattr(topic_watcher, "TopicReader", SlowReader)
    with topic_watcher.TopicWatcher(settings, bar_feed(settings), totals) as watching:
        until(lambda: SlowReader.looks > 3)
        assert watching.problem is None
        assert totals.offsets[0] > 10
