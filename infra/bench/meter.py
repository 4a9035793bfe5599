"""Points written, CPU seconds and memory over time, sampled by a thread; a pure function computes the rate."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import psutil
import requests

from spark_streaming.contract.periodic import Periodic

_EVERY_SECONDS = 0.2
_POINTS = re.compile(r"^storage_shard_write_count\{.*\} (\S+)$", re.MULTILINE)  # of InfluxDB 2.7


@dataclass(frozen=True)
class Sample:
    """The state at one moment; points and CPU seconds are counted since the start of the measurement."""

    seconds: float
    points: int
    client_cpu: float
    server_cpu: float
    rss: int


@dataclass(frozen=True)
class Result:
    """The figures of one way of writing. The field names are those of the report."""

    points_per_s: int
    client_cpu_s_per_million: float
    server_cpu_s_per_million: float
    peak_rss_mb: int


def sustained(samples: Sequence[Sample], skip: int) -> Result:
    """Return the figures from the moment when `skip` points were written to the moment when the last one was.

    Raises:
        ValueError: nothing was written after the first `skip` points.
    """
    after = [sample for sample in samples if sample.points >= skip]
    last = next((sample for sample in after if sample.points == samples[-1].points), None)
    if last is None or last.points <= after[0].points:
        raise ValueError(f"{samples[-1].points if samples else 0} points were written, {skip} of them do not count")
    first = after[0] if skip else [sample for sample in after if sample.points == after[0].points][-1]
    points = last.points - first.points
    return Result(
        points_per_s=round(points / (last.seconds - first.seconds)),
        client_cpu_s_per_million=round((last.client_cpu - first.client_cpu) / points * 1e6, 1),
        server_cpu_s_per_million=round((last.server_cpu - first.server_cpu) / points * 1e6, 1),
        peak_rss_mb=round(max(sample.rss for sample in samples) / 2**20),
    )


class Meter:
    """Takes samples while it is open. The client is every process given to `watch`, with all its children."""

    def __init__(self, influxdb_url: str, server_pid: int) -> None:
        self.samples: list[Sample] = []
        self._url = f"{influxdb_url}/metrics"
        self._server = psutil.Process(server_pid)
        self._clients: list[psutil.Process] = []
        self._cpu: dict[psutil.Process, float] = {}  # also of processes that have ended
        self._before = (self._points(), _cpu_of(self._server))
        self._began = 0.0
        self._thread = Periodic(_EVERY_SECONDS, self._sample, "meter")

    def watch(self, pid: int) -> None:
        """Count this process and its children as the client."""
        self._clients.append(psutil.Process(pid))

    def wait_for(self, points: int, alive: Callable[[], bool], seconds: float) -> None:
        """Wait until `points` points are written.

        Raises:
            TimeoutError: the client ended, or `seconds` were over, before that.
        """
        end = time.monotonic() + seconds
        while not self.samples or self.samples[-1].points < points:
            if not alive() or time.monotonic() > end:
                time.sleep(2 * _EVERY_SECONDS)  # the last sample may still be pending
                if self.samples and self.samples[-1].points >= points:
                    return
                raise TimeoutError(f"{self.samples[-1].points if self.samples else 0} of {points} points were written")
            time.sleep(_EVERY_SECONDS / 2)

    def wait_for_sample(self) -> None:
        """Wait until the first sample is taken."""
        while not self.samples:
            time.sleep(_EVERY_SECONDS / 4)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.__exit__()

    def _sample(self) -> None:
        points, seconds = self._points(), time.monotonic() - self._began
        rss = 0
        for process in self._tree():
            try:
                self._cpu[process] = _cpu_of(process)
                rss += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        server = _cpu_of(self._server) - self._before[1]
        self.samples.append(Sample(seconds, points - self._before[0], sum(self._cpu.values()), server, rss))

    def _tree(self) -> list[psutil.Process]:
        found = []
        for process in self._clients:
            try:
                found += [process, *process.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return found

    def _points(self) -> int:
        return round(sum(map(float, _POINTS.findall(requests.get(self._url, timeout=30).text))))


def _cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
