"""Detects a clock that was set: bars are due, late and requested by the machine's clock."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_TOLERANCE_SECONDS = 60  # file servers and virtual machines are off by less

REMEDY = (
    "Set the clock if it is wrong (timedatectl set-ntp true). If it is right now and was ahead then, new bars may "
    "come only once it has passed that time again."
)


def newest_write(home: Path) -> float:
    """Return when the stack last wrote one of its small files, in seconds since 1970; 0 if it never did."""
    files = [file for folder in ("run", "logs", ".") for file in (home / folder).glob("*")]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)


def clock_problem(newest: float, now: float) -> str | None:
    """Return why a clock that shows `now` is doubtful, if a file was written at `newest`; None if it is not.

    Both are in seconds since 1970.
    """
    if newest - now < _TOLERANCE_SECONDS:
        return None
    return f"it says {_text(now)}, and the last run wrote at {_text(newest)}, {_human(newest - now)} later"


@dataclass
class Clock:
    """Detects that the clock was set while the stack ran; a sleep of the machine is ignored."""

    offset: float | None = None

    def update(self, wall: float, steady: float) -> str | None:
        """Return a sentence if the clock was set since the last call, else None.

        Args:
            wall: the machine's clock, in seconds since 1970.
            steady: the value of `steady_time` at the same moment.
        """
        before, self.offset = self.offset, wall - steady
        if before is None or abs(jump := self.offset - before) < _TOLERANCE_SECONDS:
            return None
        way = "ahead" if jump > 0 else "back"
        return f"the machine's clock was set {way} by {_human(abs(jump))}; bars are due and late by that clock"


def steady_time() -> float:
    """Return the seconds of a clock that also counts while the machine sleeps, and that nobody can set."""
    # macOS's monotonic clock stops while the machine sleeps, and macOS has no better one.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _text(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%MZ}"


def _human(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
