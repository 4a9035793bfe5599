"""Class archives of the JVMs of Kafka and Spark: made once in the cache, a start then takes half the CPU time.

`stocks up` makes them in the background, at the lowest priority; until then, and where one does not fit, the JVMs start
without.
"""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from infra.host.cache import make_once
from infra.host.errors import StackError, last_lines
from infra.supervise.tools import find_java

_UNUSED_DAYS = 30  # another Java, or jars in another folder, have another archive, of 50 to 170 MB
LOWEST_PRIORITY = ("nice", "-n", "19")


def archive_folder(cache: Path, name: str, jars: Iterable[Path]) -> Path:
    """Return where the archive of these jars is for the Java of this machine, whether it is there or not."""
    java = find_java()
    files = [*([Path(java).resolve()] if java else []), *sorted(jars)]
    stats = ((path, path.stat()) for path in files)
    key = "\n".join(f"{path} {found.st_size} {int(found.st_mtime)}" for path, found in stats)
    return cache / "class-archives" / f"{name}-{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}"


def make_archive(folder: Path, make: Callable[[Path, Path], int], stop: threading.Event | None = None) -> None:
    """Make an archive where it is missing; those of its name that were not used for a month are deleted.

    `make` gets the path of a new folder for it and that of a log, and returns the exit code of what it has run.

    Raises:
        StackError: it could not be made; the message has the end of the log.
        StoppedError: `stop` was set.
    """

    def make_draft(draft: Path) -> Path:
        made, log = draft / folder.name, draft / "log"
        made.mkdir()
        if (code := make(made, log)) != 0 or not any(made.iterdir()):
            raise StackError(f"the class archive {folder.name} could not be made ({code}):\n{last_lines(log)}")
        return made

    make_once(folder, make_draft, stop)
    os.utime(folder)
    name = folder.name.rpartition("-")[0]
    for other in folder.parent.glob(f"{name}-*"):
        if time.time() - other.stat().st_mtime > _UNUSED_DAYS * 24 * 3600:
            shutil.rmtree(other, ignore_errors=True)
