"""Servers for a benchmark: Kafka and InfluxDB in a temporary home, on free ports, deleted when it ends."""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from infra.bench import bars
from infra.host.errors import Exit, StackError, last_lines
from infra.host.ports import free_ports
from infra.host.progress import Progress
from infra.servers import influxdb, jars, kafka
from infra.settings import StackSettings, service_environment
from infra.stack.servers import Servers
from spark_streaming.contract.schema import Source, SourceNames, source_names

_PORTS = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "INFLUXDB_PORT", "POSTGRES_PORT", "DAGSTER_PORT", "DAGSTER_CODE_PORT")
_PUBLISH_SECONDS = 900
_SHARD_SECONDS = 365 * 24 * 3600


class BenchSettings(StackSettings):
    """The settings of a benchmark's servers, from the arguments of the constructor alone."""

    reads_arguments_only: ClassVar[bool] = True


@dataclass(frozen=True)
class Bucket:
    """An empty bucket and its tokens."""

    url: str
    org: str
    name: str
    write_token: str
    read_token: str


@dataclass(frozen=True)
class BenchEnvironment:
    """The running servers of a benchmark, and what it makes on them."""

    settings: StackSettings
    servers: Servers
    connector: Path

    @property
    def server_pid(self) -> int:
        """The process id of InfluxDB."""
        return next(status.pid for status in self.servers.supervisor.statuses() if status.name == influxdb.NAME)

    def topic(self) -> SourceNames:
        """Create a new topic, as the stack does, and return its names."""
        names = source_names(Source.YAHOO, f"bench-{uuid.uuid4().hex[:8]}")
        kafka.create_topics(self.settings, names)
        return names

    def bucket(self) -> Bucket:
        """Create a new bucket, as the stack does."""
        name = f"bench-{uuid.uuid4().hex[:8]}"
        tokens = influxdb.operator(self.settings).tokens_of(name, _SHARD_SECONDS)
        url = self.settings.effective_influxdb_url
        return Bucket(url, self.settings.influx_org, name, tokens.write, tokens.read)

    def publish(self, names: SourceNames, messages: Path) -> None:
        """Publish a file of `key<tab>value` lines.

        Raises:
            StackError: not all of them were published.
        """
        log = messages.with_suffix(".log")
        arguments = (self.settings.kafka_address, names.topic, messages, self.connector)
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-m", bars.__name__, *map(str, arguments)],
                env=service_environment(), stdout=output, stderr=output, timeout=_PUBLISH_SECONDS, check=False,
            )  # fmt: skip
        if done.returncode != 0:
            raise StackError(f"the bars could not be published:\n{last_lines(log)}", Exit.FAILED)

    def stream_environment(self, names: SourceNames, bucket: Bucket, state: Path, **more: str) -> dict[str, str]:
        """Return the environment of `python -m spark_streaming`.

        The source is yahoo, whose topics and buckets have no suffix, so that any name can be given.
        """
        return service_environment() | {
            "SOURCE": "yahoo",
            "KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_address,
            "STOCK_PRICE_KAFKA_TOPIC": names.topic,
            "INFLUXDB_URL": bucket.url,
            "INFLUX_ORG": bucket.org,
            "INFLUX_TOKEN": bucket.write_token,
            "INFLUXDB_BUCKET": bucket.name,
            "SPARK_JARS": str(self.connector),
            "STREAM_STATE": str(state),
            **more,
        }

    @contextmanager
    def stream(self, names: SourceNames, bucket: Bucket, state: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run the stream while the block runs, with its log in `state`."""
        with (state / "log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "spark_streaming"],
                env=self.stream_environment(names, bucket, state), stdin=subprocess.DEVNULL, stderr=output,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def bench_environment(progress: Progress) -> Iterator[BenchEnvironment]:
    """Start the servers, and stop them at the end of the block; use it in the main thread."""
    home = Path(tempfile.mkdtemp(prefix="stocks-bench-"))
    ports = dict(
        zip(("kafka_port", "kafka_controller_port", "influxdb_port", "postgres_port"), free_ports(4), strict=True)
    )
    settings = BenchSettings(stocks_home=home, stocks_cache=StackSettings().stocks_cache, **ports)  # type: ignore[arg-type]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        connector = jars.resolve(jars.CONNECTOR, settings.stocks_cache, progress)
        servers = Servers(settings, progress)
        stack.callback(servers.supervisor.stop)
        stack.callback(servers.supervisor.stop_services)
        servers.supervisor.start()
        servers.bring_up_kafka([])
        servers.bring_up_influxdb([])
        yield BenchEnvironment(settings, servers, connector)


def platform_environment(home: Path) -> dict[str, str]:
    """Return the environment of a separate `stocks up` in `home`, on free ports; it notifies nobody."""
    own = {"STOCKS_HOME": str(home), "STOCKS_CACHE": str(StackSettings().stocks_cache), "NOTIFY_URLS": ""}
    ports = dict(zip(_PORTS, map(str, free_ports(len(_PORTS))), strict=True))
    return {name: value for name, value in os.environ.items() if name != "INFLUXDB_URL"} | own | ports


def require_checkout(module: str) -> None:
    """Require that a module of the tests can be imported.

    Raises:
        StackError: it can't be, because the package was installed without the tests.
    """
    if find_spec(module.partition(".")[0]) is None:
        raise StackError("the test server for Yahoo is part of the tests: run this in a checkout", Exit.USAGE)
