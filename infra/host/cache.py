"""The cache of a user, which all homes share: jars, and the program of InfluxDB."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.host.errors import StoppedError
from spark_streaming.contract.file_lock import lock_until, open_lock_file


def make_once(target: Path, make: Callable[[Path], Path], stop: threading.Event | None = None) -> Path:
    """Return `target`, and make it first if it does not exist.

    `make` gets the path of a new draft folder, and returns the file or folder in it that becomes the target.

    The target appears in one step, so an interrupted draft is never taken for a complete target; drafts of earlier
    interruptions are removed. One process makes it at a time, the others wait.

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
    with open_lock_file(path) as file:
        if not lock_until(file, lambda: stop is not None and stop.is_set(), poll_seconds=0.2):
            raise StoppedError(f"stopped while another process was at work in {path.parent}")
        yield
