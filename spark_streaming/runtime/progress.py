"""The progress of a query, for the heartbeat, the log and Dagster."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spark_streaming.contract.heartbeat import behind
from spark_streaming.sink.write_policy import RejectedRecord

if TYPE_CHECKING:  # takes a second to import, and the heartbeat comes first
    from pyspark.sql import Row


@dataclass
class BatchResult:
    """The result of one batch, summed over its tasks. Times are UTC; `bytes` is line protocol."""

    number: int
    points: int = 0
    invalid: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    refused: list[RejectedRecord] = field(default_factory=list)
    ranges: dict[int, tuple[int, int]] = field(default_factory=dict)  # partition -> first, last offset to reject
    write_seconds: float = 0.0  # that InfluxDB set_phases of them, in the task where it set_phases longest
    dead_letter_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def rejected(self) -> int:
        """How many records are to be dead-lettered."""
        return self.invalid + len(self.refused)

    @property
    def records(self) -> int:
        """How many records were read."""
        return self.points + self.rejected


def sum_results(number: int, rows: "Iterable[Row]") -> BatchResult:
    """Return a batch from the rows that its tasks yielded (`sink.influxdb.RESULT`)."""
    batch = BatchResult(number)
    for row in rows:
        if row.kind == "task":
            batch.points += row.points
            batch.invalid += row.invalid
            batch.bytes += row.bytes
            batch.write_seconds = max(batch.write_seconds, row.writing)
            batch.oldest = min(filter(None, (batch.oldest, utc(row.oldest))), default=None)
            batch.newest = max(filter(None, (batch.newest, utc(row.newest))), default=None)
            continue
        if row.kind == "refused":
            batch.refused.append(RejectedRecord(row.partition, row.offset, row.error))
        last_offset = row.offset if row.last_offset is None else row.last_offset
        first, last = batch.ranges.get(row.partition, (row.offset, last_offset))
        batch.ranges[row.partition] = (min(first, row.offset), max(last, last_offset))
    return batch


def utc(seconds: int | None) -> datetime | None:
    """Convert seconds since 1970 to a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class Totals:
    """Sums since the start; written by Spark's threads and read by the heartbeat's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.batches = self.points = self.records = self.rejected = 0
        self.newest: datetime | None = None
        self.offsets: dict[int, int] = {}  # partition -> next offset that is not yet done
        self.ends: dict[int, int] = {}  # partition -> the offset that the next message gets; empty while unknown
        self.committed: int | None = None  # the newest committed batch
        self.idle_at: datetime | None = None  # when Spark last found nothing to read
        self.seconds = 0.0
        self.phases: dict[str, float] = {}  # seconds in each phase of the newest batch

    def add(self, batch: BatchResult) -> None:
        """Count a batch that is written in full."""
        with self._lock:
            self.batches += 1
            self.points += batch.points
            self.records += batch.records
            self.rejected += batch.rejected
            self.seconds += batch.seconds
            self.newest = max(filter(None, (self.newest, batch.newest)), default=None)

    def begin(self, offsets: Mapping[int, int]) -> None:
        """Record where the stream continues."""
        with self._lock:
            self.offsets = dict(offsets)

    def set_ends(self, ends: Mapping[int, int]) -> None:
        """Record where the topic ends; empty where that is unknown."""
        with self._lock:
            self.ends = dict(ends)

    def commit(self, number: int, offsets: Mapping[int, int]) -> None:
        """Record that Spark has committed batch `number`."""
        with self._lock:
            if self.committed is None or number >= self.committed:  # Spark may call its listeners late
                self.committed, self.offsets = number, dict(offsets)

    def set_phases(self, phases: Mapping[str, float]) -> None:
        """Record the seconds in each phase of the newest batch."""
        with self._lock:
            self.phases = dict(phases)

    def idle(self, at: datetime) -> None:
        """Record that there was nothing left to read at `at`."""
        with self._lock:
            self.idle_at = at

    @property
    def lag(self) -> int | None:
        """Messages that are not yet done; None while unknown."""
        if not self.ends:
            return None
        return behind(self.ends, self.offsets)

    def figures(self) -> dict[str, Any]:
        """Return the fields of a heartbeat."""
        with self._lock:
            return {
                "records": self.records,
                "rejected": self.rejected,
                "offsets": dict(self.offsets),
                "lag": self.lag,
                "newest_event": self.newest,
                "phases": dict(self.phases),
            }
