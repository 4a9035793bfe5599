"""The lock on a program's state folder: it guarantees that there is one writer."""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from spark_streaming.contract.file_lock import lock_until, try_lock

EXIT_LOCKED = 75  # EX_TEMPFAIL of sysexits.h: another process holds the lock, try later


_ASKING_SECONDS = 0.2  # a check whether it is locked holds it for an instant


class AlreadyRunningError(RuntimeError):
    """Another process holds the lock of this state folder."""


class ProcessLock:
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
        deadline = time.monotonic() + _ASKING_SECONDS
        if not lock_until(self._file, lambda: time.monotonic() > deadline, poll_seconds=0.02):
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


def is_locked(folder: Path) -> bool:
    """Return whether a program holds the lock of `folder` right now."""
    try:
        file = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(file, shared=True)  # shared: two processes that ask don't see each other
    finally:
        os.close(file)
