"""What goes wrong on a machine, said to the person in front of it."""

from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """Exit codes of `stocks`."""

    FAILED = 1
    USAGE = 2
    MISSING_TOOL = 3
    PORT_TAKEN = 4
    SERVICE_FAILED = 5
    HOME_UNUSABLE = 6
    ALREADY_RUNNING = 75  # EX_TEMPFAIL of sysexits.h


class StackError(RuntimeError):
    """Names the thing, the value and the remedy; it is shown without a traceback."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, indented; a sentence where there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return f"    ({log} was never written)"
    return "\n".join(f"    {line}" for line in lines)
