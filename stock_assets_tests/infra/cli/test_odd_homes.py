"""Every command ends with a message and an exit code, not a traceback, whatever is wrong with home or settings."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest
import sqlalchemy.exc
from alembic.util.exc import CommandError
from kafka.errors import KafkaConnectionError
from typer import Typer
from typer.testing import CliRunner

from infra.cli.console import as_stack_error
from infra.cli.main import app
from infra.host import home
from infra.host.errors import Exit
from infra.stack import state
from stock_assets.settings import code_location
from stock_assets_tests.services.fixtures import free_ports

# What each command needs to get beyond its own arguments. A new command has to be added.
ARGUMENTS = {
    "up": ["--source", "replay"],
    "status": [],
    "down": [],
    "logs": [],
    "doctor": [],
    "reset": ["--yes"],
    "watch": ["--once"],
    "chart": ["AMZN"],
    "export": ["AMZN", "--out", "bars.csv"],
    "trace": ["AMZN", "2026-11-20"],
    "notify": ["--test"],
    "bench": [],
    "dead-letters list": [],
    "dead-letters show": [],
    "dead-letters requeue": [],
    "dead-letters replay": [],
    "dead-letters dismiss": ["--reason", "no-key"],
    "watchlist list": [],
    "watchlist add": ["AMZN"],
    "watchlist remove": ["AMZN"],
    "grafana install": ["--url", "http://127.0.0.1:9", "--token", "none"],
    "grafana provision": ["--url", "http://127.0.0.1:9", "--token", "none"],
    "provision jars": [],
    "provision secrets": ["--postgres", "handed-out"],
    "provision servers": [],
}
STARTS_SERVERS = ("up", "bench")  # wherever nothing is wrong
NEEDS_NO_HOME = ("bench", "provision jars")


def commands(group: Typer, *names: str) -> Iterator[str]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield " ".join([*names, command.name or command.callback.__name__])
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from commands(below.typer_instance, *names, str(below.name or below.typer_instance.info.name))


def test_every_command_is_run() -> None:
    assert set(commands(app)) == set(ARGUMENTS)


@pytest.fixture(autouse=True)
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "handed-out").mkdir()
    names = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "INFLUXDB_PORT", "POSTGRES_PORT", "DAGSTER_PORT",
             "DAGSTER_CODE_PORT")  # fmt: skip
    ports = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    addresses = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "INFLUXDB_URL": "http://127.0.0.1:9"}
    for name, value in (ports | addresses | {"STOCKS_HOME": "home", "STOCKS_CACHE": "cache"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SOURCE", "yahoo")
    monkeypatch.delenv("SOURCE")
    # Nobody listens at these addresses: half a second of waiting for Kafka is as good as ten.
    monkeypatch.setattr("stock_assets.resources.kafka._TIMEOUT_MS", 500)
    monkeypatch.setattr("infra.servers.kafka._BOOTSTRAP_TIMEOUT_MS", 500)
    code_location.cache_clear()
    yield
    code_location.cache_clear()


def below_a_file(folder: Path) -> None:
    folder.parent.mkdir()
    (folder.parent / "file").write_text("mine")
    os.environ["STOCKS_HOME"] = str(folder.parent / "file" / "home")


def a_file(folder: Path) -> None:
    folder.write_text("mine")


def another_version(folder: Path) -> None:
    folder.mkdir()
    (folder / "version").write_text("99\n")


def someone_elses(folder: Path) -> None:
    for name in ("secrets", "logs", "state", "grafana"):
        (folder / name).mkdir(parents=True)


def unreadable_files(folder: Path) -> None:
    home.claim(folder)
    for name in ("stack.env", "run/up.json", "run/lock", "state/yahoo/stream/heartbeat.json"):
        (folder / name).mkdir(parents=True)  # nobody can read a folder as a file, root neither


def broken_files(folder: Path) -> None:
    home.claim(folder)
    for name in ("stack.env", "run/up.json", "run/lock", "secrets/influx_token"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\xff\x00{]")


def empty_name(folder: Path) -> None:
    os.environ["STOCKS_HOME"] = ""


def odd_source(folder: Path) -> None:
    os.environ["SOURCE"] = "nasdaq"


def odd_source_in_a_file(folder: Path) -> None:
    Path(".env").write_text("SOURCE=nasdaq\n")


def stopped(folder: Path) -> None:
    home.claim(folder)


def stopped_servers(folder: Path) -> None:
    home.claim(folder)
    state.mark_provisioned(folder)


ODD = (below_a_file, a_file, another_version, someone_elses, unreadable_files, broken_files, empty_name, odd_source,
       odd_source_in_a_file)  # fmt: skip
SOUND = (stopped, stopped_servers)


@pytest.mark.parametrize("command", ARGUMENTS)
@pytest.mark.parametrize("make", [*ODD, *SOUND], ids=lambda make: make.__name__)
def test_no_command_ends_with_a_traceback(make: Callable[[Path], None], command: str, tmp_path: Path) -> None:
    if command in NEEDS_NO_HOME or (make in SOUND and command in STARTS_SERVERS):
        pytest.skip("it would start servers or download")
    make(tmp_path / "home" if make is not below_a_file else tmp_path / "parent" / "home")
    arguments = ARGUMENTS[command]
    if make in (odd_source, odd_source_in_a_file) and command == "up":
        arguments = []
    result = CliRunner().invoke(app, [*command.split(), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in (0, *Exit)
    if make in (odd_source, odd_source_in_a_file, empty_name):
        assert result.exit_code == Exit.USAGE
        if make is not empty_name:
            assert "SOURCE=nasdaq: Input should be 'yahoo', 'replay' or 'simulated'" in result.output


class MissingTable(psycopg2.errors.UndefinedTable):
    pgcode = "42P01"


def wrapped(error: Exception) -> sqlalchemy.exc.ProgrammingError:
    return sqlalchemy.exc.ProgrammingError("SELECT 1", {}, error)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (CommandError("Can't locate revision identified by '0099'"), Exit.OTHER_VERSION, "newer version"),
        (wrapped(MissingTable('relation "bars" does not exist')), Exit.OTHER_VERSION, "not those of this version"),
        (psycopg2.OperationalError("connection refused"), Exit.SERVICE_FAILED, "PostgreSQL"),
        (KafkaConnectionError("refused"), Exit.SERVICE_FAILED, "Kafka"),
        (NotADirectoryError(20, "Not a directory", "/file/home"), Exit.HOME_UNUSABLE, "/file/home"),
    ],
)
def test_an_error_of_a_server_or_a_path_has_a_message_and_a_code(error: Exception, code: Exit, text: str) -> None:
    meaning = as_stack_error(error)
    assert meaning is not None
    assert meaning.code is code
    assert text in str(meaning)


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    assert as_stack_error(ValueError("a fault")) is None
    assert as_stack_error(wrapped(psycopg2.errors.SyntaxError("a fault"))) is None
