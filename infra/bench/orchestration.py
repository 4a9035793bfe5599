"""What Dagster costs while it runs the platform: CPU and memory of its three programs, and the duration of ticks."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import dagster as dg
import psutil

from infra.bench.environment import platform_environment
from infra.host.errors import Exit, StackError
from infra.host.progress import Progress
from infra.servers import dagster
from spark_streaming.contract.heartbeat import ProgramState, read_heartbeat
from stock_assets.dagster_internals import ticks_of_running

SYMBOLS = 50
_WARM_UP_SECONDS = 60  # until the first runs have started, and the imports of the first minute are over
_TIMEOUT_SECONDS = 300

# A part of the command line of each program. Runs are forks of the code server: the first of these processes is it.
_COMMANDS = {
    dagster.CODE_SERVER: "stock_assets.code_server",
    dagster.DAEMON: "dagster._daemon",
    dagster.WEBSERVER: "dagster_webserver",
}


@dataclass(frozen=True)
class Cost:
    """The cost of a program: CPU seconds a minute, and memory as its proportional set size, in MB."""

    cpu_s_a_minute: float
    memory_mb: float


def measure(progress: Progress, symbols: int, seconds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Run a separate platform with a market that is always open, and measure it.

    Returns:
        `programs`: name -> its cost, and `all together`; `ticks`: sensor -> number, mean and longest in seconds.

    Raises:
        StackError: the platform, or one of its programs, did not start.
    """
    with _platform(symbols) as home:
        with progress.step(f"waiting for the first bars of {symbols} symbols"):
            _wait_for_first_bars(home)
            time.sleep(_WARM_UP_SECONDS)
        programs = {name: _program(home, command) for name, command in _COMMANDS.items()}
        with progress.step(f"measuring for {seconds} s"):
            begin, before = datetime.now(UTC), {name: _cpu(program) for name, program in programs.items()}
            time.sleep(seconds)
            minutes = (datetime.now(UTC) - begin).total_seconds() / 60
            costs = {
                name: Cost((_cpu(program) - before[name]) / minutes, _memory(program))
                for name, program in programs.items()
            }
        ticks = _ticks(home, begin)
    together = Cost(sum(c.cpu_s_a_minute for c in costs.values()), sum(c.memory_mb for c in costs.values()))
    all_costs = costs | {"all together": together}
    rounded = {name: {what: round(value, 1) for what, value in vars(cost).items()} for name, cost in all_costs.items()}
    return {"programs": rounded, "ticks": ticks}


@contextmanager
def _platform(symbols: int) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="stocks-bench-"))
    home.chmod(0o755)  # as root, PostgreSQL runs as another user
    environment = platform_environment(home)

    def stocks(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "infra.cli.main", *words]
        return subprocess.run(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True, check=False)

    try:
        up = stocks(
            "up", "--source", "simulated", "--symbols", ",".join(f"S{n}" for n in range(symbols)), "-d", "--json"
        )
        if up.returncode != 0:
            raise StackError("the measured platform did not start; see above", Exit.SERVICE_FAILED)
        json.loads(up.stdout)
        yield home
    finally:
        stocks("down")
        shutil.rmtree(home, ignore_errors=True)


def _wait_for_first_bars(home: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not _stores_bars(home / "state" / "simulated" / "stream"):
        if time.monotonic() > deadline:
            raise StackError(f"no bar was stored within {_TIMEOUT_SECONDS} s", Exit.SERVICE_FAILED)
        time.sleep(1)


def _stores_bars(state: Path) -> bool:
    heartbeat = read_heartbeat(state)
    return heartbeat is not None and heartbeat.state is ProgramState.RUNNING and heartbeat.newest_event is not None


def _program(home: Path, command: str) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            matches = command in " ".join(process.cmdline()) and process.environ().get("STOCKS_HOME") == str(home)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if matches:
            return process
    raise StackError(f"no process with `{command}` runs for {home}", Exit.SERVICE_FAILED)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> float:
    full = process.memory_full_info()
    return float(getattr(full, "pss", full.uss)) / 2**20  # only Linux has PSS


def _ticks(home: Path, since: datetime) -> dict[str, dict[str, float]]:
    found = {}
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        for instigator, ticks in ticks_of_running(instance, since=since).items():
            kind, _, name = instigator.partition(":")
            took = [(tick.ended_at - tick.began_at).total_seconds() for tick in ticks]
            if took and kind == "sensor":
                found[name] = {"ticks": len(took), "mean_s": round(mean(took), 2), "longest_s": round(max(took), 2)}
    return found
