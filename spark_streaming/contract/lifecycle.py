"""How a long-lived program and those who watch it see each other: a lock, a heartbeat and a request to drain.

All three are files in one folder, the program's state folder. The lock is what guarantees that there is one writer;
the heartbeat only tells about it.
"""

import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

EXIT_LOCKED = 75  # EX_TEMPFAIL of sysexits.h: another one is at work, try later

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ASKING_SECONDS = 0.2  # someone who only asks whether it is locked holds it for an instant


class State(StrEnum):
    """What a program says of itself."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class FeedBeat:
    """What a program did of its second feed, the quotes; the same words as in `Heartbeat`."""

    records: int = 0
    rejected: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    lag: int | None = None
    newest_event: datetime | None = None
    detail: str = ""  # how it goes, or the error that it is getting over


@dataclass(frozen=True)
class Heartbeat:
    """What a program wrote last. Times are UTC; an age is judged by the reader."""

    run_id: str  # of the Dagster run that started it; empty when started by hand
    pid: int
    state: State
    started_at: datetime
    written_at: datetime
    records: int = 0  # published, or read from Kafka, since the start
    rejected: int = 0
    offsets: dict[int, int] = field(default_factory=dict)  # partition -> next offset that is not yet done
    lag: int | None = None  # messages not yet done; None while unknown
    newest_event: datetime | None = None
    phases: dict[str, float] = field(default_factory=dict)  # seconds in each phase of the stream's newest batch
    detail: str = ""  # the error of a failed program, else what it is doing
    quotes: FeedBeat | None = None  # None where there is no second feed


def behind(ends: Mapping[int, int], done: Mapping[int, int]) -> int:
    """Messages that are not yet done: partition -> where the topic ends, and -> the next offset to be done."""
    return sum(max(0, end - done.get(partition, 0)) for partition, end in ends.items())


class AlreadyRunningError(RuntimeError):
    """Another process holds the lock of this state folder."""


class Lock:
    """An exclusive lock on a state folder, held until the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Take the lock at once.

        Raises:
            AlreadyRunningError: another process holds it; the message names its pid.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _lock_within(self._file, _ASKING_SECONDS):
            holder = os.read(self._file, 32).decode() or "unknown"
            os.close(self._file)
            self._file = None
            raise AlreadyRunningError(
                f"{self._path} is held by process {holder}: one program writes here at a time. Stop that one first."
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _lock_within(file: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def is_locked(folder: Path) -> bool:
    """Whether a program holds the lock of `folder` right now."""
    try:
        file = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask don't see each other
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def write_heartbeat(folder: Path, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat of `folder` in one step: a reader never sees half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "heartbeat.json.new"
    draft.write_text(json.dumps(asdict(heartbeat), default=datetime.isoformat))
    draft.replace(folder / "heartbeat.json")


def read_heartbeat(folder: Path) -> Heartbeat | None:
    """The last heartbeat of `folder`; None where there has never been one, or a machine went down over it.

    A cut-off one must not stop those who watch: no program would be started, and so none would write another.
    """
    try:
        values = json.loads((folder / "heartbeat.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    told = _read(Heartbeat, values)
    quotes = values.get("quotes")
    return Heartbeat(
        **told | {"state": State(told["state"]), "quotes": FeedBeat(**_read(FeedBeat, quotes)) if quotes else None}
    )


def _read(kind: type[Heartbeat] | type[FeedBeat], values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that `kind` knows, of the types that JSON doesn't have."""
    told = {f.name: values[f.name] for f in fields(kind) if f.name in values}
    for name in ("started_at", "written_at", "newest_event"):
        if told.get(name):
            told[name] = datetime.fromisoformat(told[name])
    return told | {"offsets": {int(partition): offset for partition, offset in told["offsets"].items()}}


def request_drain(folder: Path) -> None:
    """Ask the program of `folder` to do what is left and then to end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "drain").touch()


def drain_is_requested(folder: Path) -> bool:
    """Whether someone has asked the program of `folder` to end once nothing is left to do."""
    return (folder / "drain").exists()


def clear_drain_request(folder: Path) -> None:
    """Forget an earlier request; a program does so when it starts."""
    (folder / "drain").unlink(missing_ok=True)


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when the process `parent`, which started it, is gone.

    Linux only; elsewhere it does nothing, and the sensor ends what was left behind.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent:  # it went before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
