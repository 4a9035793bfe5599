"""The guard: nothing that it started outlives it or its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.supervise.service import guard_command, guarded
from stock_assets_tests.infra.terminal import all_gone, until

PARENT = """
import os, subprocess
from pathlib import Path
from infra.supervise.service import guard_command, guarded
child = subprocess.Popen(guard_command(guarded(("sleep", "600"), os.environ, Path("/"))))
print(child.pid, flush=True)
child.wait()
"""


def test_a_guarded_program_dies_with_its_parent() -> None:
    parent = python(PARENT)
    child = psutil.Process(pid_from(parent))
    until(lambda: child.name() == "sleep")
    parent.kill()
    parent.communicate()
    all_gone([child], 10)


@pytest.mark.parametrize("group_seconds", [None, 1])
def test_a_parent_that_went_before_the_guard_had_begun_is_seen(group_seconds: int | None) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    spec = guarded(("sleep", "600"), os.environ, Path("/"), group_seconds=group_seconds, parent=gone.pid)
    guard = subprocess.Popen(guard_command(spec), start_new_session=True)
    assert guard.wait(timeout=20) in (-signal.SIGTERM, 128 + signal.SIGTERM)


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


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def pid_from(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())
