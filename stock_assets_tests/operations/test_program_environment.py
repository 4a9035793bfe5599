"""What the two programs find in their environment, as the kernel shows it."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spark_streaming.contract.heartbeat import read_heartbeat
from spark_streaming.settings import StreamSettings
from stock_assets import settings
from stock_assets.defs.prices.assets import producer, stream
from stock_assets.operations.program_environment import program_environment
from stock_assets.resources.program_client import ProgramClient
from stock_assets.settings import CodeLocationSettings, IngestSettings
from stock_assets_tests.services.fixtures import no_settings_around

SECRETS = {
    "POSTGRES_PASSWORD": "secret-of-postgres",
    "NOTIFY_URLS": "json://secret-of-notify",
    "INFLUX_TOKEN": "secret-of-the-writer",
    "INFLUX_READ_TOKEN": "secret-of-the-reader",
    "GRAFANA_TOKEN": "secret-of-grafana",
    "AWS_SECRET_ACCESS_KEY": "secret-of-somebody-else",
}
OF_PIPES = {"PARENT_PID", "DAGSTER_PIPES_CONTEXT", "DAGSTER_PIPES_MESSAGES"}


@pytest.fixture
def code_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CodeLocationSettings]:
    """Every secret is in its environment; no server answers."""
    with no_settings_around(tmp_path):
        given = SECRETS | {
            "SOURCE": "simulated",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            "POSTGRES_PORT": "9",
            "SPARK_JARS": str(tmp_path),
            "HTTPS_PROXY": "http://proxy:3128",
            "SIMULATED_SEED": "8",
            "WRITE_TASKS": "3",
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        settings.code_location.cache_clear()
        yield settings.code_location()
        settings.code_location.cache_clear()


def environment_in(state: Path, asset: dg.AssetsDefinition, settings: CodeLocationSettings) -> dict[str, str]:
    """The environment of the program that a run of `asset` starts; `state` is where it writes its heartbeat."""
    found: list[bytes] = []
    ended = threading.Event()

    def watch() -> None:
        while not found and not ended.is_set():
            heartbeat = read_heartbeat(state)
            if heartbeat is not None:
                found.append(Path(f"/proc/{heartbeat.pid}/environ").read_bytes())
            time.sleep(0.005)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        dg.materialize([asset], resources={"pipes": ProgramClient(), "settings": settings}, raise_on_error=False)
    finally:
        ended.set()
        watching.join()
    assert found, "it has written no heartbeat"
    return dict(text.split("=", 1) for text in found[0].decode().split("\0") if "=" in text)


def secrets_in(environment: dict[str, str]) -> set[str]:
    return {name for name, secret in SECRETS.items() if any(secret in value for value in environment.values())}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_stream_gets_its_settings_and_the_writers_token_alone(code_location: CodeLocationSettings) -> None:
    environment = environment_in(code_location.state_of("stream"), stream, code_location)
    assert secrets_in(environment) == {"INFLUX_TOKEN"}
    assert environment["WRITE_TASKS"] == "3"
    inherited = program_environment(environment, {}).keys()
    own = {name.upper() for name in StreamSettings.model_fields}
    assert environment.keys() - inherited <= own | OF_PIPES
    assert environment["HTTPS_PROXY"] == "http://proxy:3128"
    assert {"PATH", "HTTPS_PROXY"} <= inherited


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_producer_gets_its_settings_and_the_password_of_its_tables_alone(
    code_location: CodeLocationSettings,
) -> None:
    environment = environment_in(code_location.state_of("ingest"), producer, code_location)
    assert secrets_in(environment) == {"POSTGRES_PASSWORD"}
    assert environment["SIMULATED_SEED"] == "8"
    own = {name.upper() for name in IngestSettings.model_fields}
    assert environment.keys() - program_environment(environment, {}).keys() <= own | OF_PIPES


def test_a_program_gets_what_it_needs_of_the_machine() -> None:
    parent = {"PATH": "/bin", "LC_ALL": "C", "https_proxy": "p", "SSL_CERT_FILE": "f", "JAVA_HOME": "j", "HOME": "/h"}
    assert program_environment(parent | SECRETS, {"SOURCE": "yahoo"}) == parent | {"SOURCE": "yahoo"}
    assert program_environment({"PATH": "/bin"}, {"PATH": "/own"}) == {"PATH": "/own"}
