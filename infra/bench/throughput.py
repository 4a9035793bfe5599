"""How many points a second each way of writing stores, from the same topic into new buckets of one InfluxDB."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from infra.bench import bars
from infra.bench.environment import BenchEnvironment, Bucket
from infra.bench.meter import Meter, Result, sustained
from infra.bench.writers import environment
from infra.host.errors import Exit, StackError, last_lines
from infra.host.progress import Progress
from infra.settings import service_environment
from spark_streaming.contract.schema import SourceNames

_ROWS = 5_000  # written row by row: with more rows the rate is the same
_BATCH = 400_000  # messages of a batch of the stream, by default
_TIMEOUT_SECONDS = 900


class Throughput:
    """One run: files and topic are made once, and every way of writing is measured on them."""

    def __init__(self, bench: BenchEnvironment, progress: Progress, count: int, symbols: int) -> None:
        self._bench, self._progress, self._count = bench, progress, count
        self._folder = bench.settings.stocks_home / "bench"
        self._folder.mkdir()
        self._lines, self._messages = self._folder / "lines", self._folder / "messages"
        self._symbols = symbols
        self._first = max(1, min(count * 2 // 5, _BATCH))  # points of the first batch, which are not measured

    def report(self) -> dict[str, dict[str, float] | None]:
        """Measure everything; return name of the way -> its figures, None where Telegraf is not installed."""
        with self._progress.step(f"publishing {self._count:,} bars of {self._symbols} symbols"):
            names = self._publish()
        results = {
            "direct": self._best_direct(),
            "job": self._job(names),
            "row_by_row": self._row_by_row(names),
            "telegraf": self._telegraf(names) if shutil.which("telegraf") else None,
        }
        return {name: asdict(result) if result else None for name, result in results.items()}

    def _publish(self) -> SourceNames:
        with self._lines.open("w") as lines, self._messages.open("w") as messages:
            for bar in bars.bars(self._count, self._symbols):
                lines.write(bars.line(*bar))
                messages.write(f"{bar[0]}\t{bars.message(*bar)}\n")
        names = self._bench.topic()
        self._bench.publish(names, self._messages)
        return names

    def _best_direct(self) -> Result:
        results = []
        for writers in (1, 2, 4):
            with self._progress.step(f"ready-made lines, writers: {writers}"):
                each = [["direct", str(self._lines), str(number), str(writers)] for number in range(writers)]
                results.append(self._written_by(each, self._count))
        return max(results, key=lambda result: result.points_per_s)

    def _row_by_row(self, names: SourceNames) -> Result:
        count = min(_ROWS, self._count)
        with self._progress.step(f"{count:,} rows, one by one"):
            return self._written_by(
                [["row_by_row", self._bench.settings.kafka_address, names.topic, str(count)]], count
            )

    def _written_by(self, writers: list[list[str]], points: int) -> Result:
        bucket = self._bench.bucket()
        variables = service_environment() | environment(bucket.url, bucket.org, bucket.name, bucket.write_token)
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "infra.bench.writers", *arguments],
                env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for arguments in writers
        ]  # fmt: skip
        try:
            for process in processes:
                if process.stdout is None or process.stdout.readline() != "ready\n":
                    raise StackError("a writer did not start; see its message above", Exit.FAILED)
            with self._meter() as meter:
                for process in processes:
                    meter.watch(process.pid)
                meter.wait_for_sample()
                for process in processes:
                    _start_writing(process)
                meter.wait_for(points, lambda: any(process.poll() is None for process in processes), _TIMEOUT_SECONDS)
            return sustained(meter.samples, 0)
        finally:
            for process in processes:
                process.kill()
                process.communicate()

    def _job(self, names: SourceNames) -> Result:
        state = Path(tempfile.mkdtemp(dir=self._folder))
        bucket = self._bench.bucket()
        variables = self._bench.stream_environment(names, bucket, state, MAX_OFFSETS_PER_TRIGGER=str(self._first))
        command = [sys.executable, "-m", "spark_streaming", "--available-now"]
        with self._progress.step("the stream"):
            return self._measure_program(command, variables, self._first)

    def _telegraf(self, names: SourceNames) -> Result:
        bucket = self._bench.bucket()
        configuration = self._folder / "telegraf.conf"
        configuration.write_text(telegraf_configuration(self._bench.settings.kafka_address, names.topic, bucket))
        command = ["telegraf", "--config", str(configuration)]
        with self._progress.step("Telegraf"):
            return self._measure_program(command, service_environment(), self._first)

    def _measure_program(self, command: list[str], variables: Mapping[str, str], skip: int) -> Result:
        with self._meter() as meter, _program(command, variables, self._folder / "program.log") as process:
            meter.watch(process.pid)
            try:
                meter.wait_for(self._count, lambda: process.poll() is None, _TIMEOUT_SECONDS)
            except TimeoutError as error:
                raise StackError(
                    f"{error}; the end of its log:\n{last_lines(self._folder / 'program.log')}", Exit.FAILED
                ) from None
        return sustained(meter.samples, skip)

    def _meter(self) -> Meter:
        return Meter(self._bench.settings.effective_influxdb_url, self._bench.server_pid)


def telegraf_configuration(broker: str, topic: str, bucket: Bucket) -> str:
    """Return a configuration of Telegraf that is tuned for speed: large batches, no gzip within the same machine."""
    fields = "".join(
        f'[[inputs.kafka_consumer.json_v2.field]]\npath = "{name}"\ntype = "{kind}"\n'
        for name, kind in [*((name, "float") for name in ("open", "high", "low", "close")), ("volume", "int")]
    )
    tags = "".join(f'[[inputs.kafka_consumer.json_v2.tag]]\npath = "{name}"\n' for name in ("interval", "symbol"))
    return f"""[agent]
interval = "1s"
flush_interval = "1s"
metric_batch_size = 5000
metric_buffer_limit = 100000
omit_hostname = true
[[outputs.influxdb_v2]]
urls = ["{bucket.url}"]
token = "{bucket.write_token}"
organization = "{bucket.org}"
bucket = "{bucket.name}"
content_encoding = "identity"
[[inputs.kafka_consumer]]
brokers = ["{broker}"]
topics = ["{topic}"]
consumer_group = "{bucket.name}"
offset = "oldest"
kafka_version = "3.6.0"
max_undelivered_messages = 50000
data_format = "json_v2"
[[inputs.kafka_consumer.json_v2]]
measurement_name = "stock-price-v1"
timestamp_path = "timestamp"
timestamp_format = "2006-01-02T15:04:05Z"
{tags}{fields}"""


def ratios(report: Mapping[str, Mapping[str, float] | None]) -> dict[str, float]:
    """Return the ratios that have aims: the stream by the direct limit and by Telegraf, in rate and in CPU."""
    job, direct, telegraf = report["job"], report["direct"], report["telegraf"]
    if not job or not direct:
        return {}
    found = {"rate, of the direct limit": job["points_per_s"] / direct["points_per_s"]}
    if telegraf:
        cpu = "client_cpu_s_per_million"
        found["rate, of Telegraf's"] = job["points_per_s"] / telegraf["points_per_s"]
        found["client's CPU, of Telegraf's"] = job[cpu] / telegraf[cpu]
    return {name: round(ratio, 2) for name, ratio in found.items()}


@contextmanager
def _program(command: list[str], variables: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start_writing(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.write("go\n")
        process.stdin.flush()
