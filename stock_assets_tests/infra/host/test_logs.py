"""Logs: followed across their rotation, deleted when they are old."""

import os
import shutil
from pathlib import Path

from infra.host import logs
from infra.host.errors import Exit
from infra.supervise.service import Service
from infra.supervise.supervisor import Supervisor
from stock_assets_tests.infra.terminal import Terminal
from stock_assets_tests.services.fixtures import open_folder
from stock_assets_tests.services.waiting import until

NOW = 1_800_000_000.0
DAY = 86_400


def written(file: Path, days_ago: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.utime(file, (NOW - days_ago * DAY, NOW - days_ago * DAY))
    return file


def test_old_logs_of_runs_and_of_ticks_are_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "dagster" / "logs"
    ticks = folder / "__repository__" / "run_programs"
    old = [written(folder / "run-1" / "compute_logs" / "a.err", 15), written(ticks / "1.err", 3)]
    new = [written(folder / "run-2" / "compute_logs" / "b.err", 13), written(ticks / "2.err", 1)]
    cleanup = logs.LogCleanup()
    cleanup.run_if_due(tmp_path, NOW)
    assert [file.exists() for file in old + new] == [False, False, True, True]
    assert not (folder / "run-1").exists()
    late = written(ticks / "3.err", 3)
    cleanup.run_if_due(tmp_path, NOW + 60)
    assert late.exists()  # once an hour is enough
    cleanup.run_if_due(tmp_path, NOW + 3600)
    assert not late.exists()


def test_a_log_is_followed_across_its_rotation(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("1\n2\n3\nha")
    tail = logs.Tail(past=2)
    assert tail.read(log) == ["2", "3"]
    with log.open("a") as file:
        file.write("lf\nlast\n")
    log.rename(tmp_path / "kafka.log.1")
    assert tail.read(log) == ["half", "last"]
    log.write_text("new\n")
    assert tail.read(log) == ["new"]
    log.write_text("")
    assert tail.read(log) == []


def test_another_run_is_followed_from_its_beginning(tmp_path: Path) -> None:
    first, second = tmp_path / "1.err", tmp_path / "2.err"
    first.write_text("1\n")
    second.write_text("2\n3\n")
    tail = logs.Tail(past=0)
    assert tail.read(first) == []
    assert tail.read(second) == ["2", "3"]


def test_a_log_that_grew_large_is_rotated(tmp_path: Path) -> None:
    small, large = tmp_path / "kafka-format.log", tmp_path / "influxdb-build.log"
    small.write_text("small")
    large.write_bytes(bytes(6 * 2**20))
    logs.rotate_large_logs(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["influxdb-build.log.1", "kafka-format.log"]


def test_what_a_service_writes_is_rotated_while_it_writes() -> None:
    home = open_folder()
    log = home / "logs" / "chatty.log"
    talk = "yes 'a line of the log that says a lot' | head -c 12000000; sleep 600"
    chatty = Service("chatty", ("sh", "-c", talk), os.environ, home, "-", log, lambda: True)
    supervisor = Supervisor(home, [chatty])
    supervisor.start()
    try:
        supervisor.start_service("chatty")
        until(lambda: log.with_name("chatty.log.1").exists() and log.stat().st_size < 10 * 2**20)
    finally:
        supervisor.stop()
        shutil.rmtree(home)


def test_the_command_shows_and_follows_one_log_or_all(terminal: Terminal) -> None:
    folder = terminal.home / "logs"
    folder.mkdir(parents=True)
    (folder / "kafka.log").write_text("a\nb\n")
    (folder / "postgres.log").write_text("c\n")
    assert terminal.run("logs")[:2] == (0, "kafka    | a\nkafka    | b\npostgres | c\n")
    assert terminal.run("logs", "kafka", "-n", "1")[:2] == (0, "b\n")
    code, _, err = terminal.run("logs", "nobody")
    assert code == Exit.USAGE
    assert "there are kafka, postgres" in err

    process = terminal.start("logs", "kafka", "-f")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["a\n", "b\n"]
    with (folder / "kafka.log").open("a") as file:
        file.write("d\n")
    assert process.stdout.readline() == "d\n"
    process.send_signal(2)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_home_without_logs_is_reported(terminal: Terminal) -> None:
    code, _, err = terminal.run("logs")
    assert code == Exit.FAILED
    assert "nothing has run there yet" in err


def test_colours_reach_a_terminal_and_no_pipe(terminal: Terminal) -> None:
    folder = terminal.home / "logs"
    folder.mkdir(parents=True)
    (folder / "dagster-ui.log").write_text("\x1b[32m2026-11-20 14:30:00\x1b[0m - \x1b]0;title\x07done\x1b[K\n")
    assert terminal.run("logs", "dagster-ui")[:2] == (0, "2026-11-20 14:30:00 - done\n")
    assert terminal.run("logs")[1] == "dagster-ui | 2026-11-20 14:30:00 - done\n"
