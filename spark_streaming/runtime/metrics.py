"""The stream's metrics as points of `pipeline-metrics`, in the bucket of the bars.

One point for some seconds of work, written from a separate thread: no batch waits for it, and its errors end nothing.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import urllib3

from spark_streaming.contract.periodic import Periodic
from spark_streaming.contract.schema import PIPELINE_MEASUREMENT
from spark_streaming.runtime.progress import BatchResult, Totals
from spark_streaming.sink.influxdb import WriteTarget

log = logging.getLogger(__name__)

_EVERY_SECONDS = 5.0
_TIMEOUT_SECONDS = 2.0

# Our phases of a batch, in seconds, and Spark's phases that each consists of, in milliseconds.
_PHASES = {
    "plan_seconds": ("latestOffset", "getBatch", "queryPlanning"),  # find the topic's end, and plan
    "work_seconds": ("addBatch",),  # read, evaluate, write and dead-letter
    "record_seconds": ("walCommit", "commitOffsets"),  # write the offset log before, the commit log after
}


@dataclass
class MetricsWindow:
    """The sums since the last point."""

    batches: int = 0
    records: int = 0
    points: int = 0
    rejected: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    oldest: datetime | None = None
    newest: datetime | None = None

    def add(self, batch: BatchResult, phases: Mapping[str, float]) -> None:
        """Count a batch and the seconds that its phases took."""
        self.batches += 1
        self.records += batch.records
        self.points += batch.points
        self.rejected += batch.rejected
        for name, seconds in phases.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.oldest = min(filter(None, (self.oldest, batch.oldest)), default=None)
        self.newest = max(filter(None, (self.newest, batch.newest)), default=None)


def phases(milliseconds: Mapping[str, int], batch: BatchResult) -> dict[str, float]:
    """Return the seconds that each phase of a batch took, from Spark's progress and the sink's result."""
    seconds = {name: sum(milliseconds.get(part, 0) for part in parts) / 1000 for name, parts in _PHASES.items()}
    return seconds | {"write_seconds": batch.write_seconds, "dead_letter_seconds": batch.dead_letter_seconds}


def line(window: MetricsWindow, lag: int | None, at: int, program: str = "stream") -> str:
    """Return the line of the point at `at` seconds since 1970."""
    counts = {name: getattr(window, name) for name in ("batches", "records", "points", "rejected")}
    times = {"oldest_event": window.oldest, "newest_event": window.newest}
    whole = counts | {"lag": lag} | {name: int(time.timestamp()) for name, time in times.items() if time}
    fields = [f"{name}={value}i" for name, value in whole.items() if value is not None]
    fields += [f"{name}={seconds:.3f}" for name, seconds in window.seconds.items()]
    return f"{PIPELINE_MEASUREMENT},program={program} {','.join(fields)} {at}\n"


class MetricsWriter:
    """Writes the metrics while it is open."""

    def __init__(self, target: WriteTarget, totals: Totals, program: str = "stream") -> None:
        self._program = program
        self._target = target
        self._totals = totals
        self._window = MetricsWindow()
        self._lock = threading.Lock()
        self._thread = Periodic(_EVERY_SECONDS, self._write, "metrics")

    def add(self, batch: BatchResult, seconds: Mapping[str, float]) -> None:
        """Count a batch."""
        with self._lock:
            self._window.add(batch, seconds)

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.__exit__()
        self._write()

    def _write(self) -> None:
        with self._lock:
            window, self._window = self._window, MetricsWindow()
        lag = self._totals.lag
        if not window.batches and not lag:  # quiet times need no points
            return
        try:
            answer = urllib3.request(
                "POST",
                self._target.write_url,
                body=line(window, lag, int(time.time()), self._program),
                headers={"Authorization": f"Token {self._target.token}"},
                timeout=_TIMEOUT_SECONDS,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            log.info("metrics of %d batches were not stored: %s", window.batches, error)
            return
        if answer.status != 204:
            log.info("metrics of %d batches were not stored: %s", window.batches, answer.status)
