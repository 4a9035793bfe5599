"""What is made once and kept for all state folders of a user: jars, and the program of InfluxDB."""

import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.host.errors import StoppedError


def make_once(target: Path, make: Callable[[Path], Path], stop: threading.Event | None = None) -> Path:
    """Have `target`: where it is missing, `make` is given a draft folder and says what in it becomes the target.

    It appears in one step, so what was interrupted is never taken for complete; what an earlier interruption left
    behind is removed. One process does it at a time, the others wait for it.

    Raises:
        StoppedError: `stop` was set while another process was at work.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent / f".{target.name}.lock", stop):
        prefix = f".{target.name}-"
        for leftover in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if target.exists():
            return target
        draft = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        try:
            make(draft).rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


@contextmanager
def _alone(path: Path, stop: threading.Event | None) -> Iterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _locked(file):
            if stop is not None and stop.is_set():
                raise StoppedError(f"stopped while another process was at work in {path.parent}")
            time.sleep(0.2)
        yield
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
