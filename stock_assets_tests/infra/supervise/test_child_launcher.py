"""The launcher: nothing that it started outlives it or its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.supervise.service import launch_spec, launcher_command
from stock_assets_tests.infra.terminal import all_gone
from stock_assets_tests.services.waiting import until

PARENT = """
import os, subprocess
from pathlib import Path
from infra.supervise.service import launcher_command, launch_spec
child = subprocess.Popen(launcher_command(launch_spec(("sleep", "600"), os.environ, Path("/"))))
print(child.pid, flush=True)
child.wait()
"""


def test_a_launched_program_dies_with_its_parent() -> None:
    parent = python(PARENT)
    child = psutil.Process(pid_from(parent))
    until(lambda: child.name() == "sleep")
    parent.kill()
    parent.communicate()
    all_gone([child], 10)


@pytest.mark.parametrize("group_seconds", [None, 1])
def test_a_parent_that_ended_before_the_launcher_started_is_noticed(group_seconds: int | None) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    spec = launch_spec(("sleep", "600"), os.environ, Path("/"), group_seconds=group_seconds, parent=gone.pid)
    launcher = subprocess.Popen(launcher_command(spec), start_new_session=True)
    assert launcher.wait(timeout=20) in (-signal.SIGTERM, 128 + signal.SIGTERM)


# A program whose child has a session of its own and ignores every signal that it can ignore.
PROGRAM = """
import os, signal, subprocess, sys
stubborn = "import os, signal, time\\n"
stubborn += "for s in (signal.SIGTERM, signal.SIGINT): signal.signal(s, signal.SIG_IGN)\\n"
stubborn += "print(os.getpid(), flush=True)\\ntime.sleep(600)"
print(os.getpid(), flush=True)
subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=sys.argv[1] == "session").wait()
"""


@pytest.mark.parametrize("place", ["group", "session"])
@pytest.mark.parametrize("victim", ["launcher", "program"])
def test_a_launched_group_leaves_no_process_behind(victim: str, place: str) -> None:
    launcher, program, stubborn = started(place)
    if victim == "launcher":
        launcher.terminate()
    else:
        program.kill()
    launcher.wait(timeout=20)
    all_gone([program, stubborn], 10)


@pytest.mark.parametrize("place", ["group", "session"])
@pytest.mark.parametrize("victim", ["launcher", "keeper", "program"])
def test_a_group_ends_whichever_of_its_processes_is_killed(victim: str, place: str) -> None:
    launcher, program, stubborn = started(place)
    keeper = psutil.Process(program.ppid())
    assert keeper.ppid() == launcher.pid
    {"launcher": psutil.Process(launcher.pid), "keeper": keeper, "program": program}[victim].kill()
    launcher.wait(timeout=20)
    all_gone([keeper, program, stubborn], 10)


@pytest.mark.parametrize("victims", ["launcher", "launcher and keeper"])
def test_a_restart_begins_when_the_former_group_has_ended(victims: str, tmp_path: Path) -> None:
    launcher, program, stubborn = started("group", tmp_path / "lock")
    keeper = psutil.Process(program.ppid())
    launcher.kill()
    if victims != "launcher":
        keeper.kill()
    again, new_program, new_stubborn = started("group", tmp_path / "lock")
    assert not any(is_alive(process) for process in (keeper, program, stubborn))
    again.terminate()
    all_gone([new_program, new_stubborn], 10)
    again.wait(timeout=20)
    launcher.wait(timeout=20)


# A program that goes on while a grandchild, whose parent has ended, ends.
ORPHAN = """
import subprocess, sys, time
code = "import subprocess; print(subprocess.Popen(['sleep', '1']).pid, flush=True)"
subprocess.run([sys.executable, "-c", code])
time.sleep(600)
"""


def test_an_orphan_that_ends_is_no_zombie_while_the_program_goes_on() -> None:
    spec = launch_spec((sys.executable, "-c", ORPHAN), os.environ, Path("/"), group_seconds=1)
    launcher = subprocess.Popen(launcher_command(spec), stdout=subprocess.PIPE, text=True, start_new_session=True)
    orphan = psutil.Process(pid_from(launcher))
    until(lambda: not orphan.is_running())
    assert launcher.poll() is None
    launcher.terminate()
    assert launcher.wait(timeout=20) == 128 + signal.SIGTERM


def started(place: str, lock: Path | None = None) -> tuple[subprocess.Popen[str], psutil.Process, psutil.Process]:
    """The launcher, the program and the program's child."""
    spec = launch_spec((sys.executable, "-c", PROGRAM, place), os.environ, Path("/"), group_seconds=1, lock=lock)
    launcher = subprocess.Popen(launcher_command(spec), stdout=subprocess.PIPE, text=True, start_new_session=True)
    return launcher, psutil.Process(pid_from(launcher)), psutil.Process(pid_from(launcher))


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def pid_from(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())
