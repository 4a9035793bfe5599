"""`stocks up` and everything below it: however it ends, nothing is left, and the next start works."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from infra.host import home
from infra.host.errors import Exit
from infra.stack import state
from infra.supervise.supervisord import statuses
from stock_assets_tests.infra.terminal import Terminal, all_gone, below, stop
from stock_assets_tests.services.waiting import until

pytestmark = pytest.mark.services


def test_start_status_and_stop_from_other_terminals(terminal: Terminal) -> None:
    assert terminal.status()["running"] is False
    code, out, err = terminal.run("up", "--source", "replay", "--no-dagster", "-d", "--json")
    assert code == 0, err
    pid = json.loads(out)["pid"]
    assert set(services(terminal)) == {"kafka", "influxdb", "postgres"}

    log = terminal.home / "logs" / "up.log"
    logged = log.read_text()
    for again in ((), ("-d",)):
        code, _, err = terminal.run("up", "--source", "replay", "--no-dagster", *again)
        assert code == Exit.ALREADY_RUNNING
        assert f"process {pid}" in err
    assert log.read_text() == logged
    code, _, err = terminal.run("reset", "--yes")
    assert code == Exit.ALREADY_RUNNING
    assert "`stocks down` first" in err

    killed = services(terminal)["influxdb"]["pid"]
    psutil.Process(int(str(killed))).kill()
    until(lambda: f"influxdb (pid {killed}) died" in log.read_text())
    until(lambda: services(terminal)["influxdb"]["state"] == "running")
    assert services(terminal)["influxdb"]["deaths"] == 1
    assert "died once" in terminal.run("status")[1]
    assert "terminated by SIGKILL" in terminal.run("logs", "supervisord")[1]

    supervised = terminal.processes()
    assert terminal.run("down")[0] == 0
    all_gone(supervised, 0)
    assert terminal.status()["running"] is False
    assert [path.name for path in (terminal.home / "run").iterdir() if path.is_socket()] == []


def services(terminal: Terminal) -> dict[str, dict[str, object]]:
    answer = terminal.status()["services"]
    assert isinstance(answer, list)
    return {service["name"]: service for service in answer}


def test_a_closed_terminal_stops_everything(terminal: Terminal) -> None:
    mine, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.cli.main", "up", "--source", "replay", "--no-dagster"], cwd=terminal.here,
        env=terminal.environment | {"TERM": "xterm"}, stdin=its, stdout=its, stderr=its, start_new_session=True,
        text=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(its)
    shown = b""
    while b"Ctrl-C stops it" not in shown:
        shown += os.read(mine, 65536)
    children = below(process)
    os.close(mine)
    process.wait(timeout=60)
    all_gone(children, 0)
    (top,) = [line for line in shown.decode().splitlines() if "┏" in line]
    assert "starting" not in top  # what was shown while it started has gone
    assert "│ kafka    │" in shown.decode()  # no name is broken in two


def test_killing_it_ends_the_servers_and_the_next_start_works(terminal: Terminal) -> None:
    process = terminal.up()
    children = below(process)
    process.kill()
    process.communicate()
    again = terminal.up()  # at once: it waits for the servers of the one before
    all_gone(children, 0)
    again.terminate()
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0
    stopped = {line.split()[0] for line in err.splitlines() if " stopped in " in line}
    assert stopped == {"influxdb", "postgres", "kafka"}


def test_killing_supervisord_ends_the_servers_and_the_command(terminal: Terminal) -> None:
    process = terminal.up()
    children = below(process)
    next(child for child in children if "supervisor.supervisord" in child.cmdline()).kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == Exit.SERVICE_FAILED
    assert "supervisord was killed" in err
    all_gone(children)


def test_a_service_that_keeps_dying_ends_it_with_the_end_of_its_log(terminal: Terminal) -> None:
    process = terminal.up()
    children = below(process)

    running = state.read(terminal.home)
    assert running is not None
    while process.poll() is None:
        with suppress(OSError, psutil.NoSuchProcess):  # it just ends
            pid = next(s.pid for s in statuses(Path(running.socket)) if s.name == "influxdb")
            if pid and psutil.Process(pid).name() == "influxd":
                psutil.Process(pid).kill()
        time.sleep(0.2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == Exit.SERVICE_FAILED
    assert "influxdb can't be kept alive; the end of " in err
    all_gone(children)


def test_a_home_with_a_very_long_path_works_and_leaves_no_socket_when_it_is_killed(terminal: Terminal) -> None:
    rest = home.LONGEST - len(os.fsencode(terminal.here / "Straße")) - 3 * 101 - 1
    terminal.home = terminal.here.joinpath("Straße", *["x" * 100] * 3, "y" * rest)
    terminal.environment["STOCKS_HOME"] = str(terminal.home.relative_to(terminal.here))
    process = terminal.up()
    running = state.read(terminal.home)
    assert running is not None
    socket = Path(running.socket)
    assert not socket.is_relative_to(terminal.home)  # it would be too long
    process.send_signal(signal.SIGKILL)
    process.communicate()
    stop(terminal.up())
    assert not socket.parent.exists()
