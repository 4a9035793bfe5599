"""What the supervisor has to know about one server."""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.supervise import child_launcher


@dataclass(frozen=True)
class Service:
    """A server of the stack: how to start it, how to stop it, and how to tell that it is ready."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]  # all of it: nothing is inherited
    directory: Path
    address: str  # for people: host:port, or a URL
    log: Path
    ready: Callable[[], bool]
    needs: tuple[str, ...] = ()  # started after these, stopped before them
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: int = 20  # then SIGKILL
    ready_seconds: int = 120
    user: str | None = None  # another user than the caller; from root only
    may_read_all: bool = False  # that user may enter folders that are closed to it
    starts_others: bool = False  # its descendants are ended with it


def launch_spec(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    directory: Path,
    *,
    stop_signal: signal.Signals = signal.SIGTERM,
    user: str | None = None,
    may_read_all: bool = False,
    group_seconds: int | None = None,
    lock: Path | None = None,
    parent: int | None = None,
) -> str:
    """Return the SPEC of infra/supervise/child_launcher.py as JSON; `parent` starts it, by default this process."""
    return json.dumps(
        {
            "command": command,
            "environment": dict(environment),
            "directory": str(directory),
            "parent": os.getpid() if parent is None else parent,
            "signal": int(stop_signal),
            "user": user,
            "may_read_all": may_read_all,
            "group_seconds": group_seconds,
            "lock": str(lock) if lock else None,
        }
    )


def launcher_command(spec: str) -> list[str]:
    """Return the command that starts the program of `spec`: JSON, or the path of a file of it."""
    return [sys.executable, "-I", "-S", child_launcher.__file__, spec]


def service_launch_spec(service: Service, parent: int, lock: Path) -> str:
    """Return the launcher's SPEC, as JSON, of a service that `parent` will start; `lock` is held while it runs."""
    return launch_spec(
        service.command,
        service.environment,
        service.directory,
        stop_signal=service.stop_signal,
        user=service.user,
        may_read_all=service.may_read_all,
        group_seconds=max(1, service.stop_seconds - 5) if service.starts_others else None,
        lock=lock if service.starts_others else None,
        parent=parent,
    )
