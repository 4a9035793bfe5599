"""What is made once and kept for all state folders of a user: jars, and the program of InfluxDB."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.host.errors import StoppedError
from spark_streaming.contract.file_lock import lock_until, open_lock_file


def make_once(target: Path, make: Callable[[Path], Path], stop: threading.Event | None = None) -> Path:
    """Have `target`: where it is missing, `make` is given a draft folder and returns what in it becomes the target.

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
    with open_lock_file(path) as file:
        if not lock_until(file, lambda: stop is not None and stop.is_set(), poll_seconds=0.2):
            raise StoppedError(f"stopped while another process was at work in {path.parent}")
        yield
