"""The sink against a real InfluxDB, without Spark."""

import socket
import time
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from spark_streaming.sink.influxdb import RESULT, RESULT_DDL, WriteFailedError, WriteTarget, write_lines
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.front import front_of
from stock_assets_tests.spark_streaming.influxdb_points import points_in

pytestmark = pytest.mark.services
Rows = list[dict[str, Any]]


@pytest.fixture
def target(fresh_bucket: Bucket) -> WriteTarget:
    bucket = fresh_bucket
    return WriteTarget(
        bucket.url, bucket.org, bucket.name, "prices", bucket.write_token, lines=10, patience_seconds=0.5
    )


def line(number: int, close: str = "1.5") -> str:
    return f"prices,interval=1m,symbol=S{number} close={close} {number}\n"


def batch(lines: list[str | None], partition: int = 0, first_offset: int = 100) -> pa.RecordBatch:
    count = range(len(lines))
    return pa.record_batch(
        {
            "partition": pa.array([partition for _ in count], pa.int32()),
            "offset": pa.array([first_offset + number for number in count], pa.int64()),
            "time": pa.array(list(count), pa.int64()),
            "line": pa.array(lines, pa.string()),
        }
    )


def written(target: WriteTarget, *batches: pa.RecordBatch) -> tuple[dict[str, Any], Rows]:
    """The summing up, and the other rows."""
    rows = [row for result in write_lines(target, iter(batches)) for row in result.to_pylist()]
    assert rows[-1]["kind"] == "task"
    return rows[-1], rows[:-1]


def test_each_line_is_stored(target: WriteTarget, fresh_bucket: Bucket) -> None:
    lines: list[str | None] = [line(number) for number in range(25)]
    task, others = written(target, batch(lines))
    assert (task["points"], task["invalid"], task["oldest"], task["newest"]) == (25, 0, 0, 24)
    assert task["bytes"] == sum(len(text or "") for text in lines)
    assert others == []
    assert len(points_in(fresh_bucket)) == 25


def test_null_lines_are_counted_and_located(target: WriteTarget, fresh_bucket: Bucket) -> None:
    lines = [None, line(1), None, line(3), None]
    task, others = written(target, batch(lines, partition=2), batch([line(7)], partition=3))
    assert (task["points"], task["invalid"], task["oldest"], task["newest"]) == (3, 3, 0, 3)
    assert [(row["kind"], row["partition"], row["offset"], row["last_offset"]) for row in others] == [
        ("invalid", 2, 100, 104)
    ]
    assert len(points_in(fresh_bucket)) == 3


def test_a_slice_of_a_larger_buffer_is_written_alone(target: WriteTarget, fresh_bucket: Bucket) -> None:
    whole = batch([line(number) for number in range(30)])
    task, _ = written(target, whole.slice(7, 12))
    assert task["points"] == 12
    assert {at for _, _, at in points_in(fresh_bucket)} == set(range(7, 19))


@pytest.mark.parametrize("batches", [(), (batch([]),), (batch([None]),)], ids=["none", "empty", "all invalid"])
def test_nothing_to_write_asks_nothing_of_the_server(target: WriteTarget, batches: tuple[pa.RecordBatch, ...]) -> None:
    nowhere = replace(target, url="http://127.0.0.1:1")
    task, _ = written(nowhere, *batches)
    assert (task["points"], task["oldest"], task["newest"]) == (0, None, None)


def test_400_costs_only_the_line_that_cannot_be_parsed(target: WriteTarget, fresh_bucket: Bucket) -> None:
    lines: list[str | None] = [line(number) for number in range(25)]
    lines[13] = "prices,symbol= close=\n"
    task, others = written(target, batch(lines))
    assert task["points"] == 24
    assert [(row["kind"], row["partition"], row["offset"]) for row in others] == [("refused", 0, 113)]
    assert "unable to parse" in others[0]["error"]
    assert len(points_in(fresh_bucket)) == 24


def test_422_costs_only_the_points_of_another_type(target: WriteTarget, fresh_bucket: Bucket) -> None:
    written(target, batch([line(0)]))
    lines: list[str | None] = [line(number, close="7i" if number in (3, 4, 19) else "1.5") for number in range(25)]
    task, others = written(target, batch(lines))
    assert task["points"] == 22
    assert [row["offset"] for row in others] == [103, 104, 119]
    assert all("field type conflict" in row["error"] for row in others)
    assert len(points_in(fresh_bucket)) == 22


def test_401_is_retried_and_then_an_error(target: WriteTarget, fresh_bucket: Bucket) -> None:
    with pytest.raises(WriteFailedError, match=r"bucket .* in 0 s \(\d tries\), last with 401: unauthorized") as caught:
        written(replace(target, token="wrong-token"), batch([line(1)]))
    assert "wrong-token" not in str(caught.value) + repr(target)


def test_404_of_a_missing_bucket_is_retried_and_then_an_error(target: WriteTarget) -> None:
    with pytest.raises(WriteFailedError, match="404"):
        written(replace(target, organization="nobody"), batch([line(1)]))


def test_a_refused_connection_is_tried_again_until_it_is_taken(target: WriteTarget, fresh_bucket: Bucket) -> None:
    with front_of(fresh_bucket.url, [None, None]) as url:
        task, _ = written(replace(target, url=url, patience_seconds=20), batch([line(1)]))
    assert task["points"] == 1
    assert len(points_in(fresh_bucket)) == 1


def test_503_waits_as_long_as_the_server_requests(target: WriteTarget, fresh_bucket: Bucket) -> None:
    started = time.monotonic()
    with front_of(fresh_bucket.url, [(503, "1")]) as url:
        written(replace(target, url=url, patience_seconds=20), batch([line(1)]))
    assert 1.0 <= time.monotonic() - started < 5.0
    assert len(points_in(fresh_bucket)) == 1


def test_413_is_split_until_the_parts_are_small_enough(target: WriteTarget, fresh_bucket: Bucket) -> None:
    with front_of(fresh_bucket.url, [(413, "")] * 3) as url:
        task, others = written(replace(target, url=url, patience_seconds=20), batch([line(n) for n in range(10)]))
    assert (task["points"], others) == (10, [])
    assert len(points_in(fresh_bucket)) == 10


def test_a_server_that_does_not_answer_is_given_up_in_time(target: WriteTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(WriteFailedError, match="no answer"):
            written(replace(target, url=url, timeout_seconds=0.2), batch([line(1)]))


def test_the_result_has_the_columns_of_the_declared_schema() -> None:
    types = {"string": pa.string(), "int": pa.int32(), "bigint": pa.int64(), "double": pa.float64()}
    declared = [column.split() for column in RESULT_DDL.split(", ")]
    assert pa.schema([(name, types[kind]) for name, kind in declared]) == RESULT
