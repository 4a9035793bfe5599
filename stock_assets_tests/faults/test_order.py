"""The newest message about a bar wins, however late, often or out of order the messages arrive."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.settings import StackSettings
from spark_streaming.contract.schema import SourceNames
from spark_streaming.parse.bars import bar_lines
from spark_streaming.sink.influxdb import WriteTarget, write
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.cases import BAR, SENT
from stock_assets_tests.spark_streaming.conftest import Launcher
from stock_assets_tests.spark_streaming.front import front_of
from stock_assets_tests.spark_streaming.influxdb_points import points_in
from stock_assets_tests.spark_streaming.kafka_messages import Message, send

pytestmark = pytest.mark.services

FIRST = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
# symbol, minute, volume: few bars, so that most come more than once
Bar = tuple[str, int, int]
STREAMS = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3), st.integers(0, 99)), min_size=1, max_size=40)


def message(bar: Bar) -> Message:
    symbol, minute, volume = bar
    at = FIRST + timedelta(minutes=minute)
    text = json.dumps(BAR | {"symbol": symbol, "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "volume": volume})
    return symbol.encode(), text.encode()


def batches(bars: list[Bar], size: int) -> Iterator[pa.RecordBatch]:
    messages = [message(bar) for bar in bars]
    for first in range(0, len(messages), size):
        part = messages[first : first + size]
        yield pa.record_batch(
            {
                "partition": pa.array([0] * len(part), pa.int32()),
                "offset": pa.array(range(first, first + len(part)), pa.int64()),
                "timestamp": pa.array([SENT] * len(part), pa.timestamp("us", "UTC")),
                "key": pa.array([key for key, _ in part], pa.binary()),
                "value": pa.array([value for _, value in part], pa.binary()),
            }
        )


def volumes_in(bucket: Bucket) -> dict[tuple[str, int], Any]:
    found = points_in(bucket)
    return {
        (symbol, (time - int(FIRST.timestamp())) // 60): fields["volume"] for (symbol, _, time), fields in found.items()
    }


def newest(bars: list[Bar]) -> dict[tuple[str, int], int]:
    """What a stream that came in order and once would leave."""
    return {(symbol, minute): volume for symbol, minute, volume in bars}


# A bucket of its own for each example would cost more than all else, so each has a measurement of its own instead.
EXAMPLES = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EXAMPLES
@given(bars=STREAMS, size=st.integers(1, 40), lines=st.integers(1, 7), again_from=st.integers(0, 40))
def test_any_order_of_late_double_and_corrected_bars_leaves_the_newest(
    fresh_bucket: Bucket, bars: list[Bar], size: int, lines: int, again_from: int
) -> None:
    bucket = fresh_bucket
    target = WriteTarget(bucket.url, bucket.org, bucket.name, "stock-price-v1", bucket.write_token, lines=lines)
    expected = volumes_in(bucket) | newest(bars)
    list(
        write(target, bar_lines, batches(bars[:again_from], size))
    )  # a batch that was cut off, or a checkpoint that was lost
    list(write(target, bar_lines, batches(bars, size)))
    assert volumes_in(bucket) == expected


def test_a_request_that_is_sent_again_does_not_undo_a_correction(fresh_bucket: Bucket) -> None:
    bucket = fresh_bucket
    bars = [("A", 0, 1), ("B", 0, 1), ("A", 0, 2), ("B", 0, 2), ("A", 0, 3)]
    # Split in two, then failures in both halves, then an answer that is lost after the server wrote.
    with front_of(bucket.url, [(413, ""), (503, ""), "lost", (429, ""), (413, ""), "lost"]) as url:
        target = WriteTarget(url, bucket.org, bucket.name, "stock-price-v1", bucket.write_token, patience_seconds=20)
        rows = [row for result in write(target, bar_lines, batches(bars, 5)) for row in result.to_pylist()]
    assert [(row["kind"], row["points"]) for row in rows] == [("task", 5)]
    assert volumes_in(bucket) == {("A", 0): 3, ("B", 0): 2}


def test_corrections_of_one_batch_go_through_the_whole_stream_in_their_order(
    launcher: Launcher, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    bars = [(f"S{number % 50}", number % 7, number) for number in range(12_000)]  # each bar comes 34 times
    send(stack.kafka_address, fresh_topic.topic, [message(bar) for bar in bars], SENT)
    # Several tasks, of several requests each, over all partitions, in one batch.
    assert launcher.start("--available-now", WRITE_LINES="500", WRITE_TASKS="4", SPARK_MASTER="local[4]").end() == 0
    stored = volumes_in(fresh_bucket)
    assert stored == newest(bars)

    (launcher.state / "checkpoint").rename(launcher.state / "lost")
    assert launcher.start("--available-now", MAX_OFFSETS_PER_TRIGGER="5000").end() == 0
    assert volumes_in(fresh_bucket) == stored, "all was read again from the start, and changed nothing"
