"""Room on the disk: enough to start, enough to go on."""

import shutil
from dataclasses import dataclass
from pathlib import Path

TO_START, LITTLE, TOO_LITTLE = 2 * 2**30, 2**30, 2**28  # bytes


@dataclass
class Room:
    """Fed with the free bytes, once a second or so."""

    was_little: bool = False

    def see(self, free: int) -> str | None:
        """What is to be said since the last call."""
        before, self.was_little = self.was_little, free < LITTLE
        if before or not self.was_little:
            return None
        return f"the disk has {in_words(free)} left; below {in_words(TOO_LITTLE)} everything is stopped"


def free_bytes(folder: Path) -> int:
    """What this user may still write on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def in_words(size: int) -> str:
    """1536 MiB as "1.5 GiB"."""
    unit, power = ("GiB", 30) if size >= 2**30 else ("MiB", 20) if size >= 2**20 else ("KiB", 10)
    return f"{size / 2**power:.{power == 30:d}f} {unit}"
