"""What Dagster itself costs while it runs the platform: CPU and memory of its three programs, and tick times."""

import json
import os
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
from dagster._core.definitions.run_request import InstigatorType

from infra.bench.environment import free_ports
from infra.host.errors import Exit, StackError
from infra.host.progress import Progress
from infra.servers import dagster
from infra.settings import StackSettings
from spark_streaming.contract.heartbeat import ProgramState, read_heartbeat

_PORTS = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "INFLUXDB_PORT", "POSTGRES_PORT", "DAGSTER_PORT", "DAGSTER_CODE_PORT")
SYMBOLS = 50
_WARM_UP_SECONDS = 60  # the first runs have begun, and the first minute's imports are over
_PATIENCE_SECONDS = 300

# What is in the command line of each program itself: below the code server there are the runs, too.
_COMMANDS = {
    dagster.CODE_SERVER: "dagster api grpc",
    dagster.DAEMON: "dagster._daemon",
    dagster.WEBSERVER: "dagster_webserver",
}


@dataclass(frozen=True)
class Cost:
    """What a program takes: CPU seconds a minute, and memory as its proportional share, in MB."""

    cpu_s_a_minute: float
    memory_mb: float


def measure(progress: Progress, symbols: int, seconds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Run a platform of its own with a market that is always open.

    Returns:
        `programs`: name -> its cost, and `all together`; `ticks`: sensor -> how many, mean and longest in seconds.

    Raises:
        StackError: it did not start, or its programs did not.
    """
    with _platform(symbols) as home:
        with progress.step(f"waiting until {symbols} symbols flow"):
            _wait_until_they_flow(home)
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
    named = costs | {"all together": together}
    rounded = {name: {what: round(figure, 1) for what, figure in vars(cost).items()} for name, cost in named.items()}
    return {"programs": rounded, "ticks": ticks}


@contextmanager
def _platform(symbols: int) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="stocks-bench-"))
    home.chmod(0o755)  # as root, PostgreSQL runs as another user
    own = {"STOCKS_HOME": str(home), "STOCKS_CACHE": str(StackSettings().stocks_cache), "NOTIFY_URLS": ""}
    ports = dict(zip(_PORTS, map(str, free_ports(len(_PORTS))), strict=True))
    environment = {name: value for name, value in os.environ.items() if name != "INFLUXDB_URL"} | own | ports

    def stocks(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "infra.cli.main", *words]
        return subprocess.run(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True, check=False)

    try:
        up = stocks(
            "up", "--source", "simulated", "--symbols", ",".join(f"S{n}" for n in range(symbols)), "-d", "--json"
        )
        if up.returncode != 0:
            raise StackError("the platform to be measured did not start; see above", Exit.SERVICE_FAILED)
        json.loads(up.stdout)
        yield home
    finally:
        stocks("down")
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_they_flow(home: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    state = home / "state" / "simulated" / "stream"
    while (
        (beat := read_heartbeat(state)) is None or beat.state is not ProgramState.RUNNING or beat.newest_event is None
    ):
        if time.monotonic() > deadline:
            raise StackError(f"no bar was stored within {_PATIENCE_SECONDS} s", Exit.SERVICE_FAILED)
        time.sleep(1)


def _program(home: Path, command: str) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            is_it = command in " ".join(process.cmdline()) and process.environ().get("STOCKS_HOME") == str(home)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if is_it:
            return process
    raise StackError(f"no process with `{command}` runs for {home}", Exit.SERVICE_FAILED)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> float:
    full = process.memory_full_info()
    return float(getattr(full, "pss", full.uss)) / 2**20  # PSS is Linux's alone


def _ticks(home: Path, since: datetime) -> dict[str, dict[str, float]]:
    found = {}
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, after=since.timestamp())
            took = [t.end_timestamp - t.timestamp for t in ticks if t.end_timestamp is not None]
            if took:
                figures = {"ticks": len(took), "mean_s": round(mean(took), 2), "longest_s": round(max(took), 2)}
                found[state.instigator_name] = figures
    return found
