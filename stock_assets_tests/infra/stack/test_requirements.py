"""What a machine lacks or a folder can't do: named with its remedy, its own exit code, and nothing left behind."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.host import home
from infra.host.disk import free_bytes
from infra.host.errors import Exit
from stock_assets_tests.infra.terminal import Terminal, below, stop

MOUNTS = os.geteuid() == 0 and Path("/dev/loop-control").exists()
needs_mounts = pytest.mark.skipif(not MOUNTS, reason="only root mounts a disk that is small or can't be written to")


def program(folder: Path, name: str, text: str) -> str:
    """A folder for PATH, with a program in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    return str(folder)


def test_a_port_in_use_is_named_with_its_holder(terminal: Terminal) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(terminal.environment["INFLUXDB_PORT"])))
        other.listen()
        code, err = terminal.refused()
    assert code == Exit.PORT_TAKEN
    assert f"port {terminal.environment['INFLUXDB_PORT']}: in use by " in err
    assert f"(pid {os.getpid()})" in err
    assert "INFLUXDB_PORT" in err


def test_without_java_the_message_has_the_command_that_installs_it(terminal: Terminal, tmp_path: Path) -> None:
    code, err = terminal.refused(PATH=str(tmp_path), JAVA_HOME="")
    assert code == Exit.MISSING_TOOL
    assert "Java: not found" in err
    assert "nstall" in err


def test_a_java_that_is_too_old_is_named_with_its_version(terminal: Terminal, tmp_path: Path) -> None:
    program(tmp_path / "bin", "java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    code, err = terminal.refused(JAVA_HOME=str(tmp_path))
    assert code == Exit.MISSING_TOOL
    assert f"{tmp_path}/bin/java is version 11, and 17 or 21 is needed" in err


def test_without_influxd_and_its_build_tools_both_remedies_are_named(terminal: Terminal, tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "java", """echo 'openjdk version "17.0.2" 2022-01-18' >&2""")
    code, err = terminal.refused(PATH=path, JAVA_HOME="", STOCKS_CACHE=str(tmp_path / "cache"))
    assert code == Exit.MISSING_TOOL
    assert "influxd is not on PATH, and go, cc, pkg-config, cargo to build it is missing" in err
    assert "influxdata.com" in err


def test_a_home_of_a_newer_version_is_left_alone(terminal: Terminal) -> None:
    terminal.home.mkdir()
    (terminal.home / "version").write_text("99")
    code, err = terminal.refused()
    assert code == Exit.OTHER_VERSION
    assert "written by a newer version" in err
    assert "another folder by STOCKS_HOME" in err
    assert [path.name for path in terminal.home.iterdir()] == ["version"]


def test_a_home_of_an_unknown_version_is_left_alone(terminal: Terminal) -> None:
    terminal.home.mkdir()
    (terminal.home / "version").write_bytes(b"\xffbeta")
    code, err = terminal.refused()
    assert code == Exit.OTHER_VERSION
    assert "something unknown" in err


def test_a_path_that_no_server_could_open_is_refused(terminal: Terminal) -> None:
    code, err = terminal.refused(STOCKS_HOME="/".join(["tmp", *["ö" * 100] * 6]))
    assert code == Exit.HOME_UNUSABLE
    assert f"no more than {home.LONGEST} are possible" in err


def test_a_home_that_is_a_file_is_refused(terminal: Terminal) -> None:
    terminal.home.write_text("mine")
    code, err = terminal.refused()
    assert code == Exit.HOME_UNUSABLE
    assert "STOCKS_HOME" in err
    assert terminal.home.read_text() == "mine"


def test_a_clock_that_jumped_back_is_remarked_on_by_the_doctor(terminal: Terminal) -> None:
    home.claim(terminal.home)
    (terminal.home / "run").mkdir()
    (terminal.home / "run" / "up.json").touch()
    ahead = time.time() + 3600
    os.utime(terminal.home / "run" / "up.json", (ahead, ahead))
    code, _, err = terminal.run("doctor", COLUMNS="200")
    assert code == 0  # no reason not to start
    assert "60 min later" in err
    assert "timedatectl" in err


@contextmanager
def disk(terminal: Terminal, size: str) -> Iterator[Path]:
    """A disk of its own under the home, which takes no room until it is written to."""
    image = terminal.here / "disk"
    with image.open("wb") as file:
        file.truncate(int(size.removesuffix("M")) * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    terminal.home.mkdir()
    subprocess.run(["mount", "-o", "loop", image, terminal.home], check=True)
    try:
        yield terminal.home
    finally:
        terminal.close()
        subprocess.run(["umount", terminal.home], check=True)


@needs_mounts
def test_a_disk_with_too_little_room_is_refused(terminal: Terminal) -> None:
    with disk(terminal, "100M"):
        for arguments in ((), ("up", "--source", "replay", "--no-dagster", "-d")):
            code, err = terminal.refused(*arguments)
            assert code == Exit.DISK_FULL
            assert "MiB free, and 2.0 GiB are needed. Make room, or set STOCKS_HOME to another disk" in err


@needs_mounts
def test_a_home_that_is_read_only_is_refused(terminal: Terminal) -> None:
    with disk(terminal, "100M") as folder:
        home.claim(folder)
        (folder / "run").mkdir()
        (folder / "run" / "lock").touch()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        for arguments in ((), ("up", "--source", "replay", "--no-dagster", "-d"), ("reset", "--yes")):
            code, err = terminal.refused(*arguments)
            assert code == Exit.HOME_UNUSABLE
            assert "Read-only file system" in err
            assert "STOCKS_HOME" in err


@needs_mounts
@pytest.mark.services
def test_a_disk_that_gets_full_stops_everything_in_order(terminal: Terminal) -> None:
    with disk(terminal, "2700M") as folder:
        process = terminal.up()
        children = below(process)
        filler = folder / "filler"
        rest = 100 * 2**20
        subprocess.run(["fallocate", "-l", str(free_bytes(folder) - rest), filler], check=True)
        _, err = process.communicate(timeout=60)
        assert process.returncode == Exit.DISK_FULL
        assert "so everything was stopped; nothing is lost. Make room" in err
        assert err.count(" stopped in ") == 3
        assert [child for child in children if child.is_running()] == []
        filler.unlink()
        stop(terminal.up())


def test_the_doctor_finds_the_way_to_install_what_is_missing(terminal: Terminal, tmp_path: Path) -> None:
    code, _, err = terminal.run("doctor", PATH=str(tmp_path), STOCKS_CACHE=str(tmp_path), JAVA_HOME="")
    assert code == Exit.MISSING_TOOL
    assert "Java" in err
    assert "install" in err.lower()


def test_the_doctor_finds_no_fault_on_this_machine(terminal: Terminal) -> None:
    code, _, err = terminal.run("doctor")
    assert code == 0, err


def test_a_wrong_setting_is_named_without_a_traceback(terminal: Terminal) -> None:
    code, err = terminal.refused("up", KAFKA_PORT="many")
    assert code == Exit.USAGE
    assert "KAFKA_PORT=many" in err


def test_options_of_another_source_are_refused(terminal: Terminal) -> None:
    code, err = terminal.refused("up", "--source", "replay", "--bars", "3")
    assert code == Exit.USAGE
    assert "--bars is for --source simulated" in err
