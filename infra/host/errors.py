"""Errors of the machine and the settings, with messages for people and exit codes."""

import errno
from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """Exit codes of `stocks`."""

    FAILED = 1
    USAGE = 2
    MISSING_TOOL = 3  # Java, or what builds InfluxDB: not there or too old
    PORT_TAKEN = 4
    SERVICE_FAILED = 5
    HOME_UNUSABLE = 6  # STOCKS_HOME or STOCKS_CACHE can't be written to
    DISK_FULL = 7
    NO_NETWORK = 8  # what is downloaded once could not be
    OTHER_VERSION = 9  # STOCKS_HOME was written by another version
    INFLUXDB_UNUSABLE = 10  # the server of INFLUXDB_URL, or its token
    ALREADY_RUNNING = 75  # EX_TEMPFAIL of sysexits.h


class StackError(RuntimeError):
    """An error with a message that names the thing, the value and the remedy; shown without a traceback."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


_UNUSABLE = (
    errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG,
)  # fmt: skip


def file_problem(error: OSError) -> StackError | None:
    """Convert an error of a file to one with a remedy; None if it is not about the disk, a path or a permission."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        name = error.filename or "STOCKS_HOME"
        return StackError(f"{name}: {error.strerror}. Make room and start again.", Exit.DISK_FULL)
    if error.errno in _UNUSABLE and error.filename:
        remedy = "Set STOCKS_HOME and STOCKS_CACHE to folders that you may write to."
        return StackError(f"{error.filename}: {error.strerror}. {remedy}", Exit.HOME_UNUSABLE)
    return None


def last_lines(log: Path, count: int = 15) -> str:
    """Return the last `count` lines of a log, indented; a sentence if there is no log."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return f"    ({log} was never written)"
    return "\n".join(f"    {line}" for line in lines)


class StoppedError(StackError):
    """A stop was requested before this was done."""
