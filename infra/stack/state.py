"""The state file of a running `stocks up`, for `stocks status` and `stocks down` in other terminals."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from infra.host.private_files import private_folder, write_private
from spark_streaming.contract.process_lock import is_locked
from spark_streaming.contract.state_file import UnreadableStateError, read_state


class Phase(StrEnum):
    """The phase of a `stocks up`."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True)
class ListedService:
    """A service as the table shows it."""

    name: str
    address: str
    log: str


@dataclass(frozen=True)
class RunningStack:
    """The newest state that a `stocks up` has written."""

    pid: int
    phase: Phase
    source: str
    socket: str  # of supervisord
    ui: str  # address of Dagster's UI; empty without Dagster
    services: tuple[ListedService, ...]
    message: str = ""  # why it failed
    restarts: dict[str, int] = field(default_factory=dict)  # service -> how often it has died


def run_folder(home: Path) -> Path:
    """Return the folder of the lock and of the state file."""
    return home / "run"


def is_up(home: Path) -> bool:
    """Return whether a platform is up for `home`: a `stocks up` runs, or containers run the provisioned servers."""
    return is_locked(run_folder(home)) or _mark(home).exists()


def mark_provisioned(home: Path) -> None:
    """Remember that others run the servers."""
    private_folder(run_folder(home))
    _mark(home).touch()


def _mark(home: Path) -> Path:
    return run_folder(home) / "provisioned"


def write(home: Path, running: RunningStack) -> None:
    """Replace the state file."""
    write_private(private_folder(run_folder(home)) / "up.json", json.dumps(asdict(running)))


def read(home: Path) -> RunningStack | None:
    """Return what the newest `stocks up` wrote; None if nothing can be read. The lock shows whether it runs."""
    return read_state(run_folder(home) / "up.json", RunningStack, _check)


def _check(running: RunningStack) -> None:
    if not 0 < running.pid < 2**31:  # 0 and below would name groups of processes
        raise UnreadableStateError(f"{running.pid} is no process")
