"""The checks of checkpoint and topic before Spark starts."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_streaming.kafka.checkpoint import Checkpoint, CheckpointError, read_checkpoint
from spark_streaming.kafka.topics import TopicState, topic_problem

TOPIC = "prices"
SPARKS_OWN = {
    "metadata": '{"id":"f3b83bfd-6d3a-4065-88ad-6a91fb25480c"}',
    "offsets/7": 'v1\n{"batchWatermarkMs":0}\n{"prices":{"0":100,"1":200}}',
    "offsets/8": 'v1\n{"batchWatermarkMs":0}\n{"prices":{"0":110,"1":220}}',
    "commits/7": 'v1\n{"nextBatchWatermarkMs":0}',
    "sources/0/0": '\0v1\n{"prices":{"0":3,"1":0}}',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in SPARKS_OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_new_stream_has_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "nowhere", TOPIC) is None


def test_an_interrupted_batch_is_planned_and_not_done(folder: Path) -> None:
    assert read_checkpoint(folder, TOPIC) == Checkpoint(done={0: 100, 1: 200}, planned={0: 110, 1: 220})


def test_the_last_batch_may_be_done(folder: Path) -> None:
    (folder / "commits" / "8").write_text(SPARKS_OWN["commits/7"])
    assert read_checkpoint(folder, TOPIC) == Checkpoint(done={0: 110, 1: 220}, planned={0: 110, 1: 220})


def test_before_the_first_batch_is_done_the_start_counts(folder: Path) -> None:
    for name in ("offsets/7", "commits/7"):
        (folder / name).unlink()
    (folder / "offsets" / "8").rename(folder / "offsets" / "0")
    assert read_checkpoint(folder, TOPIC) == Checkpoint(done={0: 3, 1: 0}, planned={0: 110, 1: 220})


@pytest.mark.parametrize("name", ["metadata", "offsets/7", "offsets/8", "commits/7"])
@pytest.mark.parametrize("length", [0, 1, -1])
def test_a_file_that_is_cut_short_is_named_with_the_remedy(folder: Path, name: str, length: int) -> None:
    (folder / name).write_text(SPARKS_OWN[name][:length])
    with pytest.raises(CheckpointError, match=rf"damaged: .*remove {folder} and start again"):
        read_checkpoint(folder, TOPIC)


@pytest.mark.parametrize("name", ["metadata", "offsets/7", "commits/7"])
def test_a_file_that_is_missing_is_named_with_the_remedy(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"damaged: .*remove {folder} and start again"):
        read_checkpoint(folder, TOPIC)


def test_deleted_offset_files_are_an_error(folder: Path) -> None:
    for file in (folder / "offsets").iterdir():
        file.unlink()
    with pytest.raises(CheckpointError, match="its last batch is -1, and the last one that was done is 7"):
        read_checkpoint(folder, TOPIC)


def test_a_checkpoint_of_another_topic_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="is of prices, not of others"):
        read_checkpoint(folder, "others")


DONE = Checkpoint(done={0: 100, 1: 200}, planned={0: 110, 1: 220})


def topic(**changes: object) -> TopicState:
    values: dict[str, object] = {"name": TOPIC, "id": "one", "begin": {0: 0, 1: 0}, "end": {0: 110, 1: 300}}
    return TopicState(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("found", [topic(), topic(begin={0: 100, 1: 200})], ids=["whole", "what was done is gone"])
def test_nothing_is_wrong(found: TopicState) -> None:
    assert topic_problem(DONE, "one", found, Path("/state")) is None
    assert topic_problem(DONE, None, found, Path("/state")) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: None, "the topic is gone from Kafka"),
        (lambda: topic(id="two"), "deleted and created again"),
        (lambda: topic(begin={0: 0, 1: 205}), "removed .* before they were stored .partition 1: offsets 200 to 204"),
        (lambda: topic(end={0: 109, 1: 300}), "ends before what was read of it .partition 0: offsets 109 to 109"),
        (lambda: topic(begin={0: 0}, end={0: 500}), "has 1 partitions and had 2"),
        (lambda: topic(begin={0: 0, 1: 0, 2: 0}, end={0: 110, 1: 300, 2: 0}), "has 3 partitions and had 2"),
    ],
    ids=["gone", "anew", "aged out", "shorter", "fewer partitions", "more partitions"],
)
def test_lost_messages_are_reported_with_a_remedy(found: Callable[[], TopicState | None], expected: str) -> None:
    problem = topic_problem(DONE, "one", found(), Path("/state/checkpoint"))
    assert problem is not None
    assert re.search(expected, problem)
    assert "remove /state/checkpoint and start again" in problem or "STOCK_PRICE_KAFKA_TOPIC" in problem
