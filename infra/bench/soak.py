"""How the stream behaves over time: a backlog drains while more bars arrive, and memory stays flat."""

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
_TIMEOUT_SECONDS = 300  # for the bars that are not stored yet when the last one was sent


@dataclass(frozen=True)
class StreamSample:
    """The state of the stream at one moment."""

    seconds: float
    lag: int  # messages not yet stored
    memory_mb: float  # proportional set size of the program and all its children
    cpu_seconds: float


def summary(samples: Sequence[StreamSample], rate: int) -> dict[str, float]:
    """Return when the backlog was drained (less than two seconds of messages left), and memory and CPU after that.

    Raises:
        ValueError: the backlog was never drained.
    """
    after = list(itertools.dropwhile(lambda sample: sample.lag >= 2 * rate, samples))
    if not after:
        raise ValueError(f"the backlog was still {samples[-1].lag if samples else 0:,} messages at the end")
    sixth = max(1, len(after) // 6)
    first, last = (statistics.median(sample.memory_mb for sample in part) for part in (after[:sixth], after[-sixth:]))
    return {
        "backlog_gone_after_s": round(after[0].seconds - samples[0].seconds),
        "largest_lag_after": max(sample.lag for sample in after),
        "memory_mb_first_sixth": round(first),
        "memory_mb_last_sixth": round(last),
        "memory_mb_at_most": round(max(sample.memory_mb for sample in samples)),
        "cpu_share_after": round(
            (after[-1].cpu_seconds - after[0].cpu_seconds) / max(after[-1].seconds - after[0].seconds, 1), 2
        ),
    }


def measure(
    bench: BenchEnvironment, progress: Progress, backlog: int, symbols: int, rate: int, seconds: int
) -> dict[str, float]:
    """Publish `backlog` bars, start the stream, and send `rate` more bars a second for `seconds` seconds.

    Raises:
        StackError: the stream ended, or did not store every bar.
    """
    names, bucket, folder = bench.topic(), bench.bucket(), bench.settings.stocks_home / "bench-soak"
    folder.mkdir()
    all_bars = bars.bars(backlog + rate * seconds, symbols)
    messages = folder / "messages"
    with messages.open("w") as file:
        file.writelines(f"{bar[0]}\t{bars.message(*bar)}\n" for bar in itertools.islice(all_bars, backlog))
    with progress.step(f"publishing a backlog of {backlog:,} bars"):
        bench.publish(names, messages)
    with bench.stream(names, bucket, folder) as process:
        sampler = _Sampler(process.pid, folder)
        with Periodic(_EVERY_SECONDS, sampler.sample, "sampler"):
            with progress.step(f"{rate:,} bars a second for {seconds} s"):
                producer = KafkaProducer(bootstrap_servers=bench.settings.kafka_address, linger_ms=20)
                for _, bar in zip(paced(rate, seconds), all_bars, strict=True):
                    producer.send(names.topic, key=bar[0].encode(), value=bars.message(*bar).encode())
                producer.close()
            sent = backlog + rate * seconds
            end = time.monotonic() + _TIMEOUT_SECONDS
            while process.poll() is None and time.monotonic() < end and _stored(folder) < sent:
                time.sleep(_EVERY_SECONDS / 4)
    stored = _count(bucket)
    if stored != sent:
        raise StackError(
            f"{sent:,} bars were sent and {stored:,} stored; the end of the log:\n{last_lines(folder / 'log')}",
            Exit.FAILED,
        )
    figures = {"seconds": seconds, "messages_per_s": rate, "backlog": backlog, "sent": sent, "stored": stored}
    return figures | summary(sampler.samples, rate)


def _stored(folder: Path) -> int:
    heartbeat = read_heartbeat(folder)
    return heartbeat.records if heartbeat else 0


def _count(bucket: Bucket) -> int:
    flux = (
        f'from(bucket: "{bucket.name}") |> range(start: 0, stop: 2100-01-01T00:00:00Z) '
        f'|> filter(fn: (r) => r._measurement == "{MEASUREMENT}" and r._field == "volume") '
        "|> group() |> count()"
    )
    with InfluxDBClient(bucket.url, bucket.read_token, org=bucket.org, timeout=_TIMEOUT_SECONDS * 1000) as client:
        return sum(record.get_value() for record in client.query_api().query_stream(flux))


class _Sampler:
    """Samples the lag, the memory and the CPU of a running stream from outside."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.samples: list[StreamSample] = []
        self._process, self._folder = psutil.Process(pid), folder
        self._cpu: dict[psutil.Process, float] = {}  # also of processes that have ended

    def sample(self) -> None:
        """Take a sample, once the stream has written its lag."""
        heartbeat = read_heartbeat(self._folder)
        if heartbeat is None or heartbeat.lag is None:
            return
        with suppress(psutil.NoSuchProcess):  # it has ended, which `measure` detects
            memory = self._memory()
            cpu = sum(self._cpu.values())
            self.samples.append(StreamSample(time.monotonic(), heartbeat.lag, memory / 2**20, cpu))

    def _memory(self) -> int:
        memory = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                memory += process.memory_full_info().pss
                times = process.cpu_times()
                self._cpu[process] = times.user + times.system
        return memory
