"""What a start of the platform takes: when each part is there, in seconds after the command, and its CPU and memory."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil

from infra.bench.environment import platform_environment
from infra.bench.start_observer import POLL_SECONDS, TIMEOUT_SECONDS, Observer, Start
from infra.host.progress import Progress
from infra.supervise.supervisord import supervisor_of
from spark_streaming.contract.heartbeat import ProgramState

_STEADY_SECONDS = 10  # of a platform that stores bars, before a part of it is killed


def measure(progress: Progress, repeats: int) -> dict[str, dict[str, float]]:
    """Start a separate platform in an empty home, in the home that this leaves, and after a SIGKILL; kill its parts.

    Returns:
        `start, empty home` and so on: event -> seconds; `CPU, …`: part -> CPU seconds until the first point, and the
        memory of everything in MB; `recovery`: part that was killed -> seconds until bars are stored again. Medians.

    Raises:
        StackError: the platform did not start, or stored nothing.
    """
    starts: dict[str, list[Start]] = {"empty home": [], "used home": [], "after SIGKILL": []}
    recoveries: list[dict[str, float]] = []
    for number in range(1, repeats + 1):
        home = Path(tempfile.mkdtemp(prefix="stocks-bench-"))
        home.chmod(0o755)  # as root, PostgreSQL runs as another user
        try:
            environment = platform_environment(home)
            with progress.step(f"start {number} of {repeats}, empty home"), _started(home, environment) as start:
                starts["empty home"].append(start.start)
            with progress.step(f"start {number} of {repeats}, used home"), _started(home, environment) as start:
                starts["used home"].append(start.start)
                recoveries.append(_recoveries(start))
                start.process.kill()
            with progress.step(f"start {number} of {repeats}, after SIGKILL"), _started(home, environment) as start:
                starts["after SIGKILL"].append(start.start)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    report = {f"start, {name}": medians([one.seconds for one in found]) for name, found in starts.items()}
    for name, found in starts.items():
        report[f"CPU, {name}"] = medians([one.cpu | {"memory, MB": one.memory_mb} for one in found])
    return report | {"recovery": medians(recoveries)}


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return event -> the median over the runs that have it, in the order of their medians."""
    names = dict.fromkeys(name for run in runs for name in run)
    found = {name: round(median(run[name] for run in runs if name in run), 1) for name in names}
    return dict(sorted(found.items(), key=lambda item: item[1]))


@contextmanager
def _started(home: Path, environment: Mapping[str, str]) -> Iterator[Observer]:
    observer = Observer(home, environment)
    try:
        observer.observe()
        yield observer
    finally:
        if observer.process.poll() is None:
            observer.process.send_signal(signal.SIGINT)
        observer.process.wait(TIMEOUT_SECONDS)
        _wait_for_the_end(home)


def _recoveries(observer: Observer) -> dict[str, float]:
    """Kill the stream and then the code server of a platform that runs, and wait each time until bars are stored."""
    found = {}
    for name in ("stream", "code server"):
        time.sleep(_STEADY_SECONDS)
        stream = observer.heartbeat("stream")
        assert stream is not None
        pid = stream.pid if name == "stream" else _code_server(observer.process.pid)
        os.kill(pid, signal.SIGKILL)

        def stores_again(before: int = stream.pid) -> bool:
            newest = observer.heartbeat("stream")
            return bool(newest and newest.pid != before and newest.state is ProgramState.RUNNING and newest.records)

        found[f"killed {name}"] = observer.wait(stores_again)
    return found


def _code_server(pid: int) -> int:
    children = psutil.Process(pid).children(recursive=True)
    return next(child.pid for child in children if "stock_assets.code_server" in child.cmdline())


def _wait_for_the_end(home: Path) -> None:
    """Wait until no server of the home is left: after a SIGKILL they end by themselves."""
    end = time.monotonic() + 60
    while supervisor_of(home) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
