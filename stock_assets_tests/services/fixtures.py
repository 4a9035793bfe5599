"""Real servers for the tests: one Kafka, one InfluxDB and one PostgreSQL a test run, started by the stack's own code.

Each starts when the first test needs it. They use free ports and a temporary folder, and are provisioned for the
sources replay and simulated. Tests share them: use a new topic or bucket (`fresh_topic`, `fresh_bucket`) where data of
other tests would matter.
"""

import itertools
import os
import random
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.host.ports import port_is_free
from infra.host.progress import Progress
from infra.servers import influxdb, jars, kafka, spark
from infra.settings import StackSettings
from infra.stack.servers import Servers, write_stack_env
from spark_streaming.contract.schema import Source, SourceNames
from stock_assets.settings import CodeLocationSettings, IngestSettings
from stock_assets.store.migrate import upgrade

SOURCES = (Source.REPLAY, Source.SIMULATED)


@dataclass(frozen=True)
class Bucket:
    """A bucket of one test, and the tokens for it."""

    url: str
    org: str
    name: str
    write_token: str  # can only write this bucket
    read_token: str  # can only read this bucket


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nothing listens, below the range that the kernel assigns to clients."""
    ports = random.sample(range(10_000, 32_000), 50 * count)
    return list(itertools.islice(filter(port_is_free, ports), count))


def settings_for(home: Path, **values: object) -> StackSettings:
    """Return settings of a stack in `home` on free ports, source replay; the developer's own `.env` is not read."""
    names = ["kafka_port", "kafka_controller_port", "influxdb_port", "postgres_port", "dagster_port",
             "dagster_code_port", "grafana_port"]  # fmt: skip
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with no_settings_around(home):
        return StackSettings(**({"stocks_home": home, "source": Source.REPLAY} | ports | values))  # type: ignore[arg-type]


@contextmanager
def no_settings_around(folder: Path) -> Iterator[None]:
    """Within the block no setting comes from the environment or a `.env`; the working directory is `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in {*StackSettings.model_fields, *CodeLocationSettings.model_fields} - {"stocks_cache"}:
            patch.delenv(name.upper(), raising=False)  # the cache is kept, so that InfluxDB is not built for each run
        yield


def open_folder() -> Path:
    """Return a temporary folder that every user may enter: under root, PostgreSQL runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="stocks-test-"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The supervisor of the test run's servers, none of which runs yet, with their settings.

    `stack.env` is written, so settings classes with `stocks_home=servers.settings.stocks_home` find everything.
    """
    home = open_folder()
    settings = settings_for(home)
    jars.resolve(jars.BROKER, settings.stocks_cache, Progress())
    kafka.make_class_archive(settings)
    made = Servers(settings, Progress())
    write_stack_env(made.settings)
    made.supervisor.start()
    try:
        yield made
    finally:
        made.supervisor.stop_services()
        made.supervisor.stop()
        if "STOCKS_TEST_KEEP" in os.environ:
            print(f"kept {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka_server(servers: Servers) -> StackSettings:
    """Kafka runs at `settings.kafka_address`, with the topics of `settings.source_names(source)`."""
    servers.bring_up_kafka(SOURCES)
    return servers.settings


@pytest.fixture(scope="session")
def influxdb_server(servers: Servers) -> StackSettings:
    """InfluxDB runs at `settings.effective_influxdb_url`; the tokens are under `secrets/<source>/` of its home."""
    servers.bring_up_influxdb(SOURCES)
    return servers.settings


@pytest.fixture(scope="session")
def postgres_server(servers: Servers) -> StackSettings:
    """PostgreSQL runs at `settings.postgres_port`; the passwords are under `secrets/` of its home. Not migrated."""
    servers.bring_up_postgres(SOURCES)
    return servers.settings


@pytest.fixture
def simulated_tables(postgres_server: StackSettings) -> IngestSettings:
    """The settings of the source simulated, whose tables are those of the newest migration."""
    settings = IngestSettings(stocks_home=postgres_server.stocks_home, source=Source.SIMULATED)
    upgrade(settings)
    return settings


@pytest.fixture(scope="session")
def stack(kafka_server: StackSettings, influxdb_server: StackSettings, postgres_server: StackSettings) -> StackSettings:
    """All three servers run."""
    return postgres_server


@pytest.fixture(scope="session")
def connector_jars() -> Path:
    """The folder of Spark's Kafka connector, for SPARK_JARS; Spark's class archive is made, too."""
    with no_settings_around(Path(tempfile.gettempdir())):
        settings = StackSettings()
    folder = jars.resolve(jars.CONNECTOR, settings.stocks_cache, Progress())
    spark.make_class_archive(settings)
    return folder


@pytest.fixture
def fresh_topic(kafka_server: StackSettings) -> SourceNames:
    """An empty topic and dead-letter topic for one test, created as the stack creates them."""
    names = SourceNames(**(vars(kafka_server.names) | _topics(f"test-{uuid.uuid4().hex[:12]}")))
    kafka.create_topics(kafka_server, names)
    return names


@pytest.fixture
def make_bucket(influxdb_server: StackSettings) -> Callable[[], Bucket]:
    """A function that creates another empty bucket with each call."""

    def make() -> Bucket:
        name = f"test-{uuid.uuid4().hex[:12]}"
        tokens = influxdb.operator(influxdb_server).tokens_of(name, 20 * 365 * 24 * 3600)
        url = influxdb_server.effective_influxdb_url
        return Bucket(url, influxdb_server.influx_org, name, tokens.write, tokens.read)

    return make


@pytest.fixture
def fresh_bucket(make_bucket: Callable[[], Bucket]) -> Bucket:
    """An empty bucket for one test, with its own tokens and shards of 20 years."""
    return make_bucket()


def _topics(topic: str) -> dict[str, str]:
    quotes = f"{topic}-quotes"
    return {
        "topic": topic,
        "dead_letter_topic": f"{topic}.dead-letter",
        "quote_topic": quotes,
        "quote_dead_letter_topic": f"{quotes}.dead-letter",
    }
