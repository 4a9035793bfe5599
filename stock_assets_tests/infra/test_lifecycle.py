"""`stocks up` and everything below it: however it ends, nothing is left, and the next start works.

Without Dagster, whose start takes longer than all the rest; the guard that keeps its descendants is tested by itself.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from infra.local import jars, state
from infra.local.errors import Exit
from infra.local.progress import Progress
from infra.local.service import guard_command, guarded
from infra.local.supervisord import statuses
from infra.local.tools import StoppedError
from stock_assets_tests.services.fixtures import free_ports, open_folder

PORTS = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "INFLUXDB_PORT", "POSTGRES_PORT", "DAGSTER_PORT", "DAGSTER_CODE_PORT")


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


class Terminal:
    """A shell of its own, for one state folder."""

    def __init__(self, home: Path) -> None:
        ports = {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
        self.home = home
        self.environment = os.environ | ports | {"STOCKS_HOME": str(home / ".stocks")}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.cli.main", *arguments], cwd=self.home, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def up(self) -> subprocess.Popen[str]:
        process = self.start("up", "--source", "replay", "--no-dagster", "--json")
        assert process.stdout is not None
        assert process.stderr is not None
        if not process.stdout.readline():  # the answer comes when all is ready
            pytest.fail(process.stderr.read())
        return process

    def status(self) -> dict[str, object]:
        return dict(json.loads(self.run("status", "--json")[1]))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """In a folder with a name that is hard on configuration files."""
    folder = open_folder()
    home = folder / "Zoë's 100% stock ; #1"
    home.mkdir()
    yield Terminal(home)
    shutil.rmtree(folder, ignore_errors=True)


def below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = psutil.Process(process.pid).children(recursive=True)
    assert {"java", "influxd", "postgres"} <= {child.name() for child in found}
    return found


def all_gone(processes: list[psutil.Process], seconds: float = 40) -> None:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert alive == []


@pytest.mark.services
def test_one_life_from_other_terminals(terminal: Terminal) -> None:
    assert terminal.status()["running"] is False
    code, out, err = terminal.run("up", "--source", "replay", "--no-dagster", "-d", "--json")
    assert code == 0, err
    services = json.loads(out)["services"]
    assert {s["name"]: s["state"] for s in services}.keys() == {"kafka", "influxdb", "postgres"}
    supervised = [psutil.Process(service["pid"]) for service in services]

    code, _, err = terminal.run("up", "--source", "replay", "--no-dagster")
    assert code == Exit.ALREADY_RUNNING
    status = terminal.status()
    assert str(status["pid"]) in err
    assert status["source"] == "replay"

    assert terminal.run("down")[0] == 0
    all_gone(supervised, 0)
    assert terminal.status()["running"] is False


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything(terminal: Terminal, number: signal.Signals) -> None:
    process = terminal.up()
    children = below(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    all_gone(children, 0)
    stopped = {line.split()[0] for line in err.splitlines() if " stopped in " in line}
    assert stopped == {"influxdb", "postgres", "kafka"}


@pytest.mark.services
def test_killing_it_ends_the_servers_and_the_next_start_works(terminal: Terminal) -> None:
    process = terminal.up()
    children = below(process)
    process.kill()
    again = terminal.up()  # at once: it waits for the servers of the one before
    all_gone(children, 0)
    again.terminate()
    again.communicate(timeout=60)
    assert again.returncode == 0


@pytest.mark.services
def test_killing_supervisord_ends_the_servers_and_the_command(terminal: Terminal) -> None:
    process = terminal.up()
    children = below(process)
    next(child for child in children if "supervisor.supervisord" in child.cmdline()).kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == Exit.SERVICE_FAILED
    assert "supervisord was killed" in err
    all_gone(children)


@pytest.mark.services
def test_a_service_that_keeps_dying_ends_it_with_its_last_words(terminal: Terminal) -> None:
    process = terminal.up()
    children = below(process)

    running = state.read(terminal.home / ".stocks")
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


PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
child.wait()
"""


def test_a_guarded_program_dies_with_its_parent() -> None:
    spec = guarded(("sleep", "600"), os.environ, Path("/"))
    parent = python(PARENT, *guard_command(spec))
    child = psutil.Process(pid_from(parent))
    until(lambda: child.name() == "sleep")
    parent.kill()
    parent.communicate()
    all_gone([child], 10)


# A program whose child has a session of its own and takes no notice of anything polite.
PROGRAM = """
import os, signal, subprocess, sys
stubborn = "import os, signal, time\\n"
stubborn += "for s in (signal.SIGTERM, signal.SIGINT): signal.signal(s, signal.SIG_IGN)\\n"
stubborn += "print(os.getpid(), flush=True)\\ntime.sleep(600)"
print(os.getpid(), flush=True)
subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=sys.argv[1] == "session").wait()
"""


@pytest.mark.parametrize("place", ["group", "session"])
@pytest.mark.parametrize("victim", ["guard", "program"])
def test_a_guarded_group_leaves_nobody_behind(victim: str, place: str) -> None:
    spec = guarded((sys.executable, "-c", PROGRAM, place), os.environ, Path("/"), group_seconds=1)
    guard = subprocess.Popen(guard_command(spec), stdout=subprocess.PIPE, text=True, start_new_session=True)
    program, stubborn = psutil.Process(pid_from(guard)), psutil.Process(pid_from(guard))
    if victim == "guard":
        guard.terminate()
    else:
        program.kill()
    guard.wait(timeout=20)
    all_gone([program, stubborn], 10)


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def pid_from(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_an_interrupted_download_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        jars.resolve(jars.CONNECTOR, tmp_path, Progress(), stop)
    assert [path for path in (tmp_path / "jars").iterdir() if path.is_dir()] == []


def test_the_doctor_finds_the_way_to_install_what_is_missing(terminal: Terminal, tmp_path: Path) -> None:
    terminal.environment |= {"PATH": str(tmp_path), "STOCKS_CACHE": str(tmp_path)}
    terminal.environment.pop("JAVA_HOME", None)
    code, _, err = terminal.run("doctor")
    assert code == Exit.MISSING_TOOL
    assert "Java" in err
    assert "install" in err.lower()


def test_the_doctor_is_content_with_this_machine(terminal: Terminal) -> None:
    code, _, err = terminal.run("doctor")
    assert code == 0, err


def test_a_wrong_setting_is_named_without_a_traceback(terminal: Terminal) -> None:
    terminal.environment["KAFKA_PORT"] = "many"
    code, _, err = terminal.run("up")
    assert code == Exit.USAGE
    assert "KAFKA_PORT=many" in err
    assert "Traceback" not in err


def test_options_of_another_source_are_refused(terminal: Terminal) -> None:
    code, _, err = terminal.run("up", "--source", "replay", "--bars", "3")
    assert code == Exit.USAGE
    assert "--bars is for --source simulated" in err
