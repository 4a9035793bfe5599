"""A clock that the platform's programs go by, and that a test sets: libfaketime, preloaded into each of them."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import libfaketime

AVAILABLE = sys.platform == "linux"  # the library that the package brings is built for it


class FakeClock:
    """Ticks as the real one does, from the moment at which it was set. Waiting is not faked, only the time of day."""

    def __init__(self, file: Path, moment: datetime) -> None:
        self._file = file
        self.set(moment)

    def set(self, moment: datetime) -> None:
        """Let it be `moment` (aware) now; programs notice within a second."""
        self._ahead = moment - datetime.now(UTC)
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead.total_seconds():+.0f}\n")
        new.replace(self._file)  # nobody reads half a time
        self._file.chmod(0o644)

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC) + self._ahead

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program, and those that it starts, go by it."""
        library = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        return {
            "LD_PRELOAD": os.fspath(library),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # with it Java waits for ever
        }
