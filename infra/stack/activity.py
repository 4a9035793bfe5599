"""What runs for a state folder, found by processes and sockets too: the lock file alone may have been deleted."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.stack import state
from infra.supervise.supervisord import is_supervisor_of
from spark_streaming.contract.process_lock import is_locked

_UP = "infra.cli.main"  # how `stocks up` starts itself in the background; else the script `stocks`


@dataclass(frozen=True)
class ProcessFacts:
    """The facts about a process that show whether it works for a state folder."""

    command: tuple[str, ...]
    directory: str
    home: str  # STOCKS_HOME of its environment; empty where it has none
    listens: bool  # on a TCP port


def is_server_of(process: ProcessFacts, home: str) -> bool:
    """Return whether the process is a server of the state folder `home`, an absolute path.

    A program that only reads there, as an editor or `tail`, listens nowhere.
    """
    if is_supervisor_of(process.command, process.directory, home):
        return True
    mentions = any(part == home or f"{home}{os.sep}" in part for part in process.command) or process.home == home
    return mentions and (process.listens or "dagster._daemon" in process.command)


def is_running(home: Path) -> bool:
    """Return whether a `stocks up` runs for `home`, with or without its lock file."""
    return is_locked(state.run_folder(home)) or up_process(home) is not None


def running_parts(home: Path) -> list[str]:
    """Return a phrase for each program that holds its lock, and each server that runs for `home`."""
    locked = [lock.parent for lock in sorted((home / "state").glob("*/*/lock")) if is_locked(lock.parent)]
    programs = [f"{folder.name} of {folder.parent.name}" for folder in locked]
    return programs + [f"{process.name()} (pid {process.pid})" for process in servers_of(home)]


def up_process(home: Path) -> psutil.Process | None:
    """Return the process of the newest `stocks up`, if it still runs, with or without its lock file."""
    try:
        description = state.run_folder(home) / "up.json"
        running = state.read(home)
        if running is None or running.phase in (state.Phase.ENDED, state.Phase.FAILED):
            return None
        process = psutil.Process(running.pid)
        # Else the pid was given to another program.
        began_before = process.create_time() <= description.stat().st_mtime + 1
        command = process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    is_stocks = _UP in command or any(Path(part).name == "stocks" for part in command[:2])
    return process if began_before and is_stocks and "up" in command else None


def servers_of(home: Path) -> list[psutil.Process]:
    """Return the servers that run for `home`, supervisord included."""
    listening = _listening()
    names = {str(home), str(home.resolve())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid()
        for facts in _facts(process, listening)
        if any(is_server_of(facts, name) for name in names)
    ]


def _facts(process: psutil.Process, listening: set[int]) -> Iterator[ProcessFacts]:
    """One, or none of a process that has ended or belongs to another user."""
    try:
        with process.oneshot():
            facts = ProcessFacts(
                tuple(process.cmdline()),
                process.cwd(),
                process.environ().get("STOCKS_HOME", ""),
                process.pid in listening,
            )
    except (psutil.Error, OSError):
        return
    yield facts


def _listening() -> set[int]:
    try:
        return {c.pid for c in psutil.net_connections("tcp") if c.pid and c.status == psutil.CONN_LISTEN}
    except (psutil.Error, OSError):  # macOS asks for root
        return set()
