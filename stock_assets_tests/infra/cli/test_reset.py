"""`stocks reset` deletes what the stack wrote into its own home: nothing else, and nothing of a running stack."""

import json
import os
from pathlib import Path

import pytest

from infra.host import home
from infra.host.errors import Exit
from infra.stack.activity import ProcessFacts, is_server_of
from stock_assets_tests.infra.terminal import Terminal, all_gone
from stock_assets_tests.services.waiting import until

ENTRIES = ("kafka", "postgres", ".postgres-draft", "secrets", "logs", "run")


def filled(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text("x")


def test_it_asks_and_deletes_the_entries_of_the_stack_alone(terminal: Terminal) -> None:
    home.claim(terminal.home)
    filled(terminal.home, *ENTRIES)
    mine = terminal.home / "my notes.txt"
    mine.touch()
    code, _, err = terminal.run("reset")  # nobody answers
    assert code != 0
    assert "all messages" in err
    assert "Delete all of this?" in err
    assert len(home.stack_entries(terminal.home)) == len(ENTRIES) + 2
    code, _, err = terminal.run("reset", "--yes")
    assert code == 0
    assert all(name in err for name in (*ENTRIES, "version", home.MARKER))  # listed although nobody is asked
    assert list(terminal.home.iterdir()) == [mine]
    mine.unlink()
    code, _, err = terminal.run("reset", "--yes")
    assert code == 0
    assert "holds nothing of the stack" in err


def test_it_leaves_no_empty_folder(terminal: Terminal) -> None:
    home.claim(terminal.home)
    (terminal.home / "logs").mkdir(parents=True)
    assert terminal.run("reset", "--yes")[0] == 0
    until(lambda: not terminal.home.exists(), 1)


@pytest.mark.parametrize("version", [None, "1\n"])
def test_a_folder_without_the_marker_is_left_alone(terminal: Terminal, version: str | None) -> None:
    filled(terminal.home, "secrets", "logs", "state", "grafana")
    if version:
        (terminal.home / "version").write_text(version)
    before = sorted(terminal.home.rglob("*"))
    code, _, err = terminal.run("reset", "--yes")
    assert code == Exit.HOME_UNUSABLE
    assert "nothing is deleted" in err
    assert sorted(terminal.home.rglob("*")) == before


@pytest.mark.parametrize("arguments", [("reset", "--yes"), ("up", "--source", "replay"), ("status",), ("logs",)])
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_an_empty_name_never_means_the_current_folder(
    terminal: Terminal, arguments: tuple[str, ...], place: str
) -> None:
    filled(terminal.here, "secrets", "logs", "state", "grafana")
    home.claim(terminal.here)
    if place == ".env":
        (terminal.here / ".env").write_text("STOCKS_HOME=\n")
        del terminal.environment["STOCKS_HOME"]
    more = {"STOCKS_HOME": ""} if place == "environment" else {}
    code, _, err = terminal.run(*arguments, **more)
    assert code == Exit.USAGE
    assert "STOCKS_HOME=: the name of the folder is empty" in err
    assert (terminal.here / "secrets" / "file").exists()


def test_a_start_does_not_take_over_a_folder_with_entries_of_its_names(terminal: Terminal) -> None:
    filled(terminal.home, "secrets", "logs")
    code, err = terminal.refused()
    assert code == Exit.HOME_UNUSABLE
    assert "is not a home of the stack, and holds secrets, logs" in err
    assert not home.is_marked(terminal.home)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("stack.env", "SOURCE='yahoo'\nSTOCK_PRICE_KAFKA_TOPIC='real-time-stock-prices'\n"),
        ("run/supervisord.conf", "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"),
        ("run/lock", "4711"),
        ("secrets/postgres_superuser_password", "secret"),
    ],
)
def test_a_home_of_a_version_without_a_marker_is_taken_over(tmp_path: Path, file: str, text: str) -> None:
    filled(tmp_path, "kafka", "logs")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert home.ownership_problem(tmp_path) is not None  # the file alone proves nothing
    (tmp_path / "version").write_text("1\n")
    assert home.ownership_problem(tmp_path) is None
    home.claim(tmp_path)
    assert home.is_marked(tmp_path)


def test_a_folder_with_other_things_alone_can_be_a_home(tmp_path: Path) -> None:
    filled(tmp_path, "lost+found", "notes")
    assert home.ownership_problem(tmp_path) is None
    assert home.ownership_problem(tmp_path / "new") is None


HOME = "/data/.stocks"


@pytest.mark.parametrize(
    ("process", "is_server"),
    [
        (ProcessFacts(("python", "-m", "supervisor.supervisord"), HOME, "", False), True),
        (ProcessFacts(("python", "-m", "supervisor.supervisord"), "/other", "", False), False),
        (ProcessFacts(("influxd", "--bolt-path", f"{HOME}/influxdb/influxd.bolt"), "/", "", True), True),
        (ProcessFacts(("influxd", "--bolt-path", f"{HOME}2/influxdb/influxd.bolt"), "/", "", True), False),
        (ProcessFacts(("python", "-m", "dagster", "api", "grpc"), "/", HOME, True), True),
        (ProcessFacts(("python", "-m", "dagster", "api", "grpc"), "/", "/data", True), False),
        (ProcessFacts(("python", "-m", "dagster._daemon", "run"), "/", HOME, False), True),
        (ProcessFacts(("tail", "-f", f"{HOME}/logs/kafka.log"), HOME, "", False), False),
        (ProcessFacts(("bash",), HOME, HOME, False), False),
    ],
)
def test_a_server_is_recognised_by_its_command_its_folder_and_its_port(process: ProcessFacts, is_server: bool) -> None:
    assert is_server_of(process, HOME) is is_server


@pytest.mark.services
def test_a_running_stack_without_its_lock_file_is_not_deleted(terminal: Terminal) -> None:
    process = terminal.up()
    (terminal.home / "run" / "lock").unlink()
    code, _, err = terminal.run("reset", "--yes")
    assert code == Exit.ALREADY_RUNNING
    assert "`stocks down` first" in err
    assert terminal.status()["running"] is True

    kept = (terminal.home / "run" / "up.json").read_text()
    for name in ("up.json", "supervisord.pid"):
        (terminal.home / "run" / name).unlink()
    code, _, err = terminal.run("reset", "--yes")
    assert code == Exit.ALREADY_RUNNING
    assert "nothing was deleted" in err
    assert "influxd (pid" in err
    assert (terminal.home / "postgres").is_dir()

    (terminal.home / "run" / "lock").unlink()  # made by the reset
    (terminal.home / "run" / "up.json").write_text(kept)
    assert json.loads(kept)["pid"] == process.pid
    supervised = terminal.processes()
    assert terminal.run("down")[0] == 0
    all_gone(supervised, 10)
    assert os.listdir(terminal.home)  # noqa: PTH208
