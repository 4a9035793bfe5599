"""What becomes of the stream over time: a backlog drains while bars go on coming, and memory stays flat."""

import itertools
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from influxdb_client.client.influxdb_client import InfluxDBClient
from kafka import KafkaProducer

from infra.bench import bars
from infra.bench.environment import BenchEnvironment, Bucket
from infra.bench.latency import paced
from infra.host.errors import Exit, StackError, last_lines
from infra.host.progress import Progress
from spark_streaming.contract.heartbeat import read_heartbeat
from spark_streaming.contract.periodic import Periodic
from spark_streaming.contract.schema import MEASUREMENT

_EVERY_SECONDS = 2.0
_PATIENCE_SECONDS = 300  # for what is left when the last bar was sent


@dataclass(frozen=True)
class Look:
    """A moment of the stream's life."""

    seconds: float
    lag: int  # messages not yet stored
    memory_mb: float  # proportional set size of the program and all its children
    cpu_seconds: float


def summary(looks: Sequence[Look], rate: int) -> dict[str, float]:
    """When the backlog was gone (less than two seconds' messages left), and how memory went after that.

    Raises:
        ValueError: the backlog was never gone.
    """
    after = list(itertools.dropwhile(lambda look: look.lag >= 2 * rate, looks))
    if not after:
        raise ValueError(f"the backlog was still {looks[-1].lag if looks else 0:,} messages at the end")
    sixth = max(1, len(after) // 6)
    first, last = (statistics.median(look.memory_mb for look in part) for part in (after[:sixth], after[-sixth:]))
    return {
        "backlog_gone_after_s": round(after[0].seconds - looks[0].seconds),
        "largest_lag_after": max(look.lag for look in after),
        "memory_mb_first_sixth": round(first),
        "memory_mb_last_sixth": round(last),
        "memory_mb_at_most": round(max(look.memory_mb for look in looks)),
        "cpu_share_after": round(
            (after[-1].cpu_seconds - after[0].cpu_seconds) / max(after[-1].seconds - after[0].seconds, 1), 2
        ),
    }


def measure(
    stand: BenchEnvironment, progress: Progress, backlog: int, symbols: int, rate: int, seconds: int
) -> dict[str, float]:
    """Publish `backlog` bars, start the stream, and send `rate` more a second meanwhile, for so many seconds.

    Raises:
        StackError: the stream ended, or did not store every bar.
    """
    names, bucket, folder = stand.topic(), stand.bucket(), stand.settings.stocks_home / "bench-soak"
    folder.mkdir()
    coming = bars.bars(backlog + rate * seconds, symbols)
    messages = folder / "messages"
    with messages.open("w") as file:
        file.writelines(f"{bar[0]}\t{bars.message(*bar)}\n" for bar in itertools.islice(coming, backlog))
    with progress.step(f"publishing a backlog of {backlog:,} bars"):
        stand.publish(names, messages)
    with stand.stream(names, bucket, folder) as process:
        watcher = _Watcher(process.pid, folder)
        with Periodic(_EVERY_SECONDS, watcher.look, "watcher"):
            with progress.step(f"{rate:,} bars a second for {seconds} s"):
                producer = KafkaProducer(bootstrap_servers=stand.settings.kafka_address, linger_ms=20)
                for _, bar in zip(paced(rate, seconds), coming, strict=True):
                    producer.send(names.topic, key=bar[0].encode(), value=bars.message(*bar).encode())
                producer.close()
            sent = backlog + rate * seconds
            end = time.monotonic() + _PATIENCE_SECONDS
            while process.poll() is None and time.monotonic() < end and _stored(folder) < sent:
                time.sleep(_EVERY_SECONDS / 4)
    stored = _count(bucket)
    if stored != sent:
        raise StackError(
            f"{sent:,} bars were sent and {stored:,} stored; the end:\n{last_lines(folder / 'log')}", Exit.FAILED
        )
    told = {"seconds": seconds, "messages_per_s": rate, "backlog": backlog, "sent": sent, "stored": stored}
    return told | summary(watcher.looks, rate)


def _stored(folder: Path) -> int:
    heartbeat = read_heartbeat(folder)
    return heartbeat.records if heartbeat else 0


def _count(bucket: Bucket) -> int:
    flux = (
        f'from(bucket: "{bucket.name}") |> range(start: 0, stop: 2100-01-01T00:00:00Z) '
        f'|> filter(fn: (r) => r._measurement == "{MEASUREMENT}" and r._field == "volume") '
        "|> group() |> count()"
    )
    with InfluxDBClient(bucket.url, bucket.read_token, org=bucket.org, timeout=_PATIENCE_SECONDS * 1000) as client:
        return sum(record.get_value() for record in client.query_api().query_stream(flux))


class _Watcher:
    """Looks at the stream from outside."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.looks: list[Look] = []
        self._process, self._folder = psutil.Process(pid), folder
        self._cpu: dict[psutil.Process, float] = {}  # of those that have ended, too

    def look(self) -> None:
        """Note how it is now."""
        heartbeat = read_heartbeat(self._folder)
        if heartbeat is None or heartbeat.lag is None:
            return
        with suppress(psutil.NoSuchProcess):  # it has ended, which `measure` sees
            memory = self._memory()
            cpu = sum(self._cpu.values())
            self.looks.append(Look(time.monotonic(), heartbeat.lag, memory / 2**20, cpu))

    def _memory(self) -> int:
        memory = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                memory += process.memory_full_info().pss
                times = process.cpu_times()
                self._cpu[process] = times.user + times.system
        return memory
