"""How soon after the end of a bar one producer has it in Kafka, for each symbol, from a test server for Yahoo.

The server is part of the tests, so this needs a checkout. Its symbols trade around the clock: it can be measured at any
hour.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from kafka import KafkaConsumer, TopicPartition

from infra.bench.environment import BenchSettings, require_checkout
from infra.bench.latency import stamp_on_append
from infra.host.errors import Exit, StackError, last_lines
from infra.host.ports import free_ports
from infra.host.progress import Progress
from infra.settings import StackSettings, service_environment
from infra.stack.servers import Servers, write_stack_env
from spark_streaming.contract.schema import Source

_SERVER = "stock_assets_tests.services.yahoo_alone"
_MINUTE = timedelta(minutes=1)
_BEFORE = timedelta(minutes=5)  # length of each symbol's history
_HISTORY_SECONDS = 300  # time limit until every symbol has its first bar
_LAST_SECONDS = 60  # time limit for the last bar, after its end


def measure(progress: Progress, symbols: int, bars: int, concurrency: int) -> dict[str, float]:
    """Return the figures of `bars` consecutive bars of `symbols` symbols.

    Raises:
        StackError: this is no checkout, a program did not start, or bars are missing.
    """
    require_checkout(_SERVER)
    names = [f"S{number:04d}-USD" for number in range(symbols)]
    with _servers(progress, names) as settings, _yahoo() as yahoo:
        values = {
            "BAR_INTERVAL": "1m",
            "HISTORY_DAYS": "1",
            "YAHOO_REQUESTS_PER_MINUTE": "10000000",
            "YAHOO_CONCURRENCY": str(concurrency),
            "YAHOO_PROXY": yahoo["proxy"],
            "YAHOO_CA_FILE": yahoo["ca_file"],
        }
        write_stack_env(settings, values)
        _migrate(settings)
        with _producer(settings) as process:
            arrivals = _Arrivals(settings)
            with progress.step(f"the first bars of {symbols} symbols"):
                arrivals.wait_for(set(names), process, _HISTORY_SECONDS)
            first = datetime.now(UTC).replace(second=0, microsecond=0) + _MINUTE
            began, cpu = time.monotonic(), _cpu_of(process)
            with progress.step(f"{bars} bars of {symbols} symbols"):
                arrivals.read_until((first + bars * _MINUTE).timestamp() + _LAST_SECONDS, process)
            cpu, minutes = _cpu_of(process) - cpu, (time.monotonic() - began) / 60
    starts = [first + number * _MINUTE for number in range(bars)]
    figures = arrival_delays({start: arrivals.seen.get(start, {}) for start in starts}, symbols)
    return figures | {"producer_cpu_ms_a_bar": round(cpu / minutes / symbols * 1000, 1)}


def arrival_delays(seen: Mapping[datetime, Mapping[str, float]], symbols: int) -> dict[str, float]:
    """Return percentiles of the seconds from the end of a bar to its append in Kafka.

    `seen` maps start -> symbol -> time of append in seconds since 1970.

    Raises:
        StackError: bars are missing.
    """
    missing = sum(symbols - len(appends) for appends in seen.values())
    if missing:
        raise StackError(f"{missing} of {symbols * len(seen)} bars did not arrive in time", Exit.FAILED)
    took = sorted(at - (start + _MINUTE).timestamp() for start, appends in seen.items() for at in appends.values())
    cuts = statistics.quantiles(took, n=100)
    figures = {"first_s": took[0], "p50_s": cuts[49], "p99_s": cuts[98], "last_s": took[-1]}
    return {"symbols": symbols, "bars": len(seen)} | {name: round(figure, 2) for name, figure in figures.items()}


class _Arrivals:
    """Reads the topic; Kafka stamps each message with the time of its append."""

    def __init__(self, settings: StackSettings) -> None:
        self.seen: dict[datetime, dict[str, float]] = defaultdict(dict)
        self._consumer = KafkaConsumer(bootstrap_servers=settings.kafka_address, enable_auto_commit=False)
        topic = settings.names.topic
        partitions = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic) or ()]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)

    def wait_for(self, symbols: set[str], process: psutil.Popen, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not symbols <= {symbol for appends in self.seen.values() for symbol in appends}:
            if time.monotonic() > end:
                raise StackError(f"not every symbol had a bar within {seconds:.0f} s", Exit.FAILED)
            self._read(process)

    def read_until(self, moment: float, process: psutil.Popen) -> None:
        while time.time() < moment:
            self._read(process)

    def _read(self, process: psutil.Popen) -> None:
        if process.poll() is not None:
            raise StackError(f"the producer ended with exit code {process.poll()}", Exit.FAILED)
        for records in self._consumer.poll(timeout_ms=200, max_records=10_000).values():
            for record in records:
                bar = json.loads(record.value)
                start = datetime.fromisoformat(bar["timestamp"])
                self.seen[start].setdefault(bar["symbol"], record.timestamp / 1000)  # not a correction


def _cpu_of(process: psutil.Popen) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _servers(progress: Progress, symbols: list[str]) -> Iterator[StackSettings]:
    home = Path(tempfile.mkdtemp(prefix="stocks-bench-"))
    home.chmod(0o755)  # as root, PostgreSQL runs as another user
    ports = dict(zip(("kafka_port", "kafka_controller_port", "postgres_port"), free_ports(3), strict=True))
    cache = StackSettings().stocks_cache
    settings = BenchSettings(stocks_home=home, stocks_cache=cache, stocks=tuple(symbols), **ports)  # type: ignore[arg-type]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        servers = Servers(settings, progress)
        stack.callback(servers.supervisor.stop)
        stack.callback(servers.supervisor.stop_services)
        servers.supervisor.start()
        servers.bring_up_kafka([Source.YAHOO])
        servers.bring_up_postgres([Source.YAHOO])
        stamp_on_append(settings.kafka_address, settings.names.topic)
        yield settings


def _migrate(settings: StackSettings) -> None:
    from stock_assets.settings import IngestSettings
    from stock_assets.store.migrate import upgrade

    upgrade(IngestSettings(stocks_home=settings.stocks_home))


@contextmanager
def _yahoo() -> Iterator[Mapping[str, str]]:
    since = (datetime.now(UTC) - _BEFORE).strftime("%Y-%m-%dT%H:%M")
    command = [sys.executable, "-m", _SERVER, "--around-the-clock", "--since", since]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise StackError("the test server for Yahoo did not start", Exit.FAILED)
        yield json.loads(line)
        process.communicate()


@contextmanager
def _producer(settings: StackSettings) -> Iterator[psutil.Popen]:
    log = settings.stocks_home / "producer.log"
    environment = service_environment() | {"STOCKS_HOME": str(settings.stocks_home)}
    with log.open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "stock_assets.ingest"], env=environment, stdin=subprocess.DEVNULL, stderr=output
        )
    try:
        yield process
    except StackError as error:
        raise StackError(f"{error}; the end of its log:\n{last_lines(log)}", Exit.FAILED) from None
    finally:
        process.terminate()
        process.wait(60)
