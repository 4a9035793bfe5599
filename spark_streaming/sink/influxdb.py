"""Writes lines to InfluxDB, from Spark's executors, in bounded requests.

It runs in Spark's Python workers, so it imports neither pyspark nor pydantic, which each worker would load.
"""

import gc
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.compute as pc
import urllib3

from spark_streaming.sink.write_policy import WriteResponse, WriteStep, decide_write, parse_response

log = logging.getLogger(__name__)

# Records, measurement -> the line of each (null where the message is not valid), its time in seconds since 1970
ToLines = Callable[[pa.RecordBatch, str], tuple[pa.Array, pa.Array]]

# A row of `kind` "task" sums up a task; one of "invalid" says between which offsets of a partition messages were
# invalid; one of "refused" names a record that InfluxDB rejected. What a kind doesn't have is null.
RESULT = pa.schema(
    [
        ("kind", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("last_offset", pa.int64()),
        ("error", pa.string()),
        ("points", pa.int64()),
        ("invalid", pa.int64()),
        ("bytes", pa.int64()),
        ("seconds", pa.float64()),
        ("writing", pa.float64()),  # seconds that InfluxDB took of them
        ("oldest", pa.int64()),
        ("newest", pa.int64()),
    ]
)
RESULT_DDL = (
    "kind string, partition int, offset bigint, last_offset bigint, error string, points bigint, invalid bigint, "
    "bytes bigint, seconds double, writing double, oldest bigint, newest bigint"
)


@dataclass(frozen=True)
class WriteTarget:
    """A bucket, and how it is written."""

    url: str
    organization: str
    bucket: str
    measurement: str
    token: str = field(repr=False)
    lines: int = 20_000
    timeout_seconds: float = 30.0
    patience_seconds: float = 600.0
    precision: str = "s"  # of the lines' times: s, or ns

    @property
    def write_url(self) -> str:
        """The address that takes lines with times of this precision."""
        query = urlencode({"org": self.organization, "bucket": self.bucket, "precision": self.precision})
        return f"{self.url}/api/v2/write?{query}"


class WriteFailedError(RuntimeError):
    """InfluxDB did not take the lines in the time allowed. None of the batch counts as done."""


def write(target: WriteTarget, to_lines: ToLines, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Write every valid record of `batches` as a point, and yield rows of RESULT.

    A batch has the columns partition, offset, timestamp, key and value of Kafka's records; `to_lines` decides and
    builds the lines.

    Raises:
        WriteFailedError: InfluxDB could not be written for `target.patience_seconds`.
    """
    _exclude_imports_from_collection()
    return write_lines(
        target, (_with_lines(batch, to_lines, target.measurement) for batch in batches if batch.num_rows)
    )


def write_lines(target: WriteTarget, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Write every line of `batches` in their order, and yield rows of RESULT.

    A batch has the columns partition, offset, time and line; a null line is an invalid message, which is counted only.
    One request is answered before the next is sent. So of two messages about one bar, which lie in one partition and
    hence in one task, the later one is stored.

    Raises:
        WriteFailedError: InfluxDB could not be written for `target.patience_seconds`.
    """
    started = time.monotonic()
    task = _Task(target, partial(_post, _pool(), target))
    with ThreadPoolExecutor(1) as sender:
        sending: Future[None] | None = None
        for batch in batches:  # is read, and its lines are built, while the one before is written
            if sending is not None:
                sending.result()
            sending = sender.submit(task.write, batch)
        if sending is not None:
            sending.result()
    yield task.result(time.monotonic() - started)


class _Task:
    """Writes the batches of one task, and counts."""

    def __init__(self, target: WriteTarget, post: Callable[[memoryview], WriteResponse]) -> None:
        self._target, self._post = target, post
        self._rows: list[dict[str, object]] = []
        self._points = self._invalid = self._bytes = 0
        self._writing = 0.0
        self._times: list[int] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the lines of a batch, and count them."""
        lines, began = batch.column("line"), time.monotonic()
        for rejected, error in _post_all(lines, self._target, self._post):
            at = {name: batch.column(name)[rejected].as_py() for name in ("partition", "offset")}
            self._rows.append({"kind": "refused", "error": error, **at})
            self._points -= 1
        self._writing += time.monotonic() - began
        self._points += len(lines) - lines.null_count
        self._invalid += lines.null_count
        self._bytes += _end(lines, len(lines)) - _end(lines, 0)
        if lines.null_count:
            self._rows.extend(_invalid_ranges(batch.filter(pc.is_null(lines))))
        self._times += _first_and_last(batch.column("time").filter(pc.is_valid(lines)))

    def result(self, seconds: float) -> pa.RecordBatch:
        """Rows of RESULT, of a task that took so long."""
        task = {"kind": "task", "points": self._points, "invalid": self._invalid, "bytes": self._bytes}
        span = {"oldest": min(self._times, default=None), "newest": max(self._times, default=None)}
        summary = {**task, **span, "seconds": seconds, "writing": self._writing}
        return pa.RecordBatch.from_pylist([*self._rows, summary], schema=RESULT)


@cache
def _exclude_imports_from_collection() -> None:
    """Spark's daemon collects garbage after each task, and visiting all modules each time took a fourth of its CPU."""
    gc.freeze()


def _with_lines(records: pa.RecordBatch, to_lines: ToLines, measurement: str) -> pa.RecordBatch:
    lines, times = to_lines(records, measurement)
    names = ["partition", "offset", "time", "line"]
    return pa.RecordBatch.from_arrays([records.column("partition"), records.column("offset"), times, lines], names)


def _post_all(
    lines: pa.StringArray, target: WriteTarget, post: Callable[[memoryview], WriteResponse]
) -> Iterator[tuple[int, str]]:
    """Write all of `lines`; yields the index and InfluxDB's error of each rejected line."""
    values = memoryview(lines.buffers()[2] or b"")
    starts = range(0, len(lines), target.lines)
    pending = [(start, min(start + target.lines, len(lines))) for start in reversed(starts)]
    while pending:
        first, end = pending.pop()
        body = values[_end(lines, first) : _end(lines, end)]
        if not body:
            continue
        answer, step = _send(body, end - first, target, post)
        if step is WriteStep.HALVE:
            middle = (first + end) // 2
            pending += [(middle, end), (first, middle)]
        elif step is WriteStep.REJECT:
            yield first, answer.message


def _send(
    body: memoryview, lines: int, target: WriteTarget, post: Callable[[memoryview], WriteResponse]
) -> tuple[WriteResponse, WriteStep]:
    """Send `body` until an answer decides what becomes of it."""
    attempt = 0
    deadline = time.monotonic() + target.patience_seconds
    while True:
        answer = post(body)
        decision = decide_write(answer, lines, attempt)
        if decision.step is not WriteStep.WAIT:
            return answer, decision.step
        failure = f"{answer.status or 'no answer'}: {answer.message}".strip()
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise WriteFailedError(
                f"InfluxDB at {target.url} did not take {lines} lines for bucket {target.bucket} in "
                f"{target.patience_seconds:.0f} s ({attempt + 1} tries), last with {failure}. Their batch is not done "
                "and will be written again from its start once InfluxDB takes it."
            )
        delay = min(decision.seconds, remaining)
        log.warning("InfluxDB at %s, bucket %s: %s; next try in %.1f s", target.url, target.bucket, failure, delay)
        time.sleep(delay)
        attempt += 1


def _post(pool: urllib3.PoolManager, target: WriteTarget, body: memoryview) -> WriteResponse:
    try:
        response = pool.request(
            "POST",
            target.write_url,
            body=body.tobytes(),
            headers={"Authorization": f"Token {target.token}", "Content-Type": "text/plain; charset=utf-8"},
            timeout=urllib3.Timeout(connect=5.0, read=target.timeout_seconds),
            retries=False,
            redirect=False,
        )
    except (
        urllib3.exceptions.HTTPError
    ) as error:  # refused, reset or timed out: whether the lines were stored is unknown
        return WriteResponse(status=None, message=f"{type(error).__name__}: {error}")
    return parse_response(response.status, response.data, response.headers.get("Retry-After"), datetime.now(UTC))


@cache
def _pool() -> urllib3.PoolManager:
    # Workers are reused for many batches, and so is their connection.
    return urllib3.PoolManager(num_pools=1, maxsize=1)


def _end(lines: pa.StringArray, index: int) -> int:
    """Where line number `index` begins in the value buffer; the next one's beginning is its end."""
    offsets = memoryview(lines.buffers()[1]).cast("i")
    return int(offsets[lines.offset + index])


def _invalid_ranges(invalid: pa.RecordBatch) -> Iterator[dict[str, object]]:
    table = pa.Table.from_batches([invalid.select(["partition", "offset"])])
    for row in table.group_by("partition").aggregate([("offset", "min"), ("offset", "max")]).to_pylist():
        span = {"offset": row["offset_min"], "last_offset": row["offset_max"]}
        yield {"kind": "invalid", "partition": row["partition"], **span}


def _first_and_last(times: pa.Array) -> list[int]:
    return list(pc.min_max(times).as_py().values()) if len(times) else []
