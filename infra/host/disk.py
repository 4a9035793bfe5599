"""Free space on the disk: how much a start needs, and how much the running stack."""

import shutil
from dataclasses import dataclass
from pathlib import Path

# Limits of free bytes: what a start needs, below which the running stack warns, and below which it stops.
NEEDED_TO_START, WARN_BELOW, STOP_BELOW = 2 * 2**30, 2**30, 2**28


@dataclass
class FreeSpace:
    """Warns once each time the free space falls below `WARN_BELOW`."""

    was_low: bool = False

    def update(self, free: int) -> str | None:
        """Return a warning if `free` (bytes) has fallen below the limit since the last call, else None."""
        before, self.was_low = self.was_low, free < WARN_BELOW
        if before or not self.was_low:
            return None
        return f"the disk has {format_size(free)} left; below {format_size(STOP_BELOW)} everything is stopped"


def free_bytes(folder: Path) -> int:
    """Return how many bytes this user may still write on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def format_size(size: int) -> str:
    """Return a number of bytes as text: 1536 MiB as "1.5 GiB"."""
    unit, power = ("GiB", 30) if size >= 2**30 else ("MiB", 20) if size >= 2**20 else ("KiB", 10)
    return f"{size / 2**power:.{power == 30:d}f} {unit}"
