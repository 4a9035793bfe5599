"""Free space on the disk: how much a start needs, and how much the running stack."""

import shutil
from dataclasses import dataclass
from pathlib import Path

TO_START, LITTLE, TOO_LITTLE = 2 * 2**30, 2**30, 2**28  # bytes


@dataclass
class FreeSpace:
    """Warns once each time the free space falls below the first limit."""

    was_little: bool = False

    def update(self, free: int) -> str | None:
        """A warning where `free` (bytes) has fallen below the limit since the last call, else None."""
        before, self.was_little = self.was_little, free < LITTLE
        if before or not self.was_little:
            return None
        return f"the disk has {format_size(free)} left; below {format_size(TOO_LITTLE)} everything is stopped"


def free_bytes(folder: Path) -> int:
    """What this user may still write on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def format_size(size: int) -> str:
    """1536 MiB as "1.5 GiB"."""
    unit, power = ("GiB", 30) if size >= 2**30 else ("MiB", 20) if size >= 2**20 else ("KiB", 10)
    return f"{size / 2**power:.{power == 30:d}f} {unit}"
