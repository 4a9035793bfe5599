"""A clock for the platform's programs that a test can set: libfaketime, preloaded into each of them."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import libfaketime

AVAILABLE = sys.platform == "linux"  # the package contains a library for Linux


class FakeClock:
    """Runs at normal speed from the time to which it was set. Only the time of day is faked, not waiting."""

    def __init__(self, file: Path, moment: datetime) -> None:
        self._file = file
        self.set(moment)

    def set(self, moment: datetime) -> None:
        """Set the clock to `moment` (aware); programs notice within a second."""
        self._ahead = moment - datetime.now(UTC)
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead.total_seconds():+.0f}\n")
        new.replace(self._file)  # so that no program reads a half-written time
        self._file.chmod(0o644)

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC) + self._ahead

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that make a program and its children use this clock."""
        library = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        return {
            "LD_PRELOAD": os.fspath(library),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # with the fix Java waits forever
        }
