"""A lock on an open file, which the kernel releases when its process ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_lock_file(path: Path) -> Iterator[int]:
    """Yield the descriptor of the file, which is created if it is missing; a lock on it ends with the context."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def lock(file: int) -> None:
    """Wait for the exclusive lock and take it."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_lock(file: int, *, shared: bool = False) -> bool:
    """Take the lock where it is free; whether it was."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_until(file: int, give_up: Callable[[], bool], poll_seconds: float) -> bool:
    """Wait for the exclusive lock, and take it; False where `give_up` returns true first."""
    while not try_lock(file):
        if give_up():
            return False
        time.sleep(poll_seconds)
    return True
