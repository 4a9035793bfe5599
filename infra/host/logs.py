"""The logs of a home: lists them, deletes old ones, and follows one.

supervisord rotates what the services write; this is about the rest.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from spark_streaming.contract.heartbeat import read_heartbeat

_HOUR, _DAY = 3600, 86_400
_KEPT_RUNS, _KEPT_TICKS = 14 * _DAY, 2 * _DAY  # seconds; a sensor writes a file a tick: 8,000 a day
_LARGE = 5 * 2**20  # bytes
_PROGRAMS = {"producer": "ingest", "stream": "stream"}


def rotate_log(log: Path) -> None:
    """Rename a log to the same name with `.1` added, and replace the file that has that name."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))


@dataclass
class LogCleanup:
    """Deletes old logs once an hour, however often it is called."""

    done_at: float = 0.0

    def run_if_due(self, home: Path, now: float) -> None:
        """Delete old logs of `home` if an hour has passed since the last time; `now` is in seconds since 1970."""
        if now - self.done_at >= _HOUR:
            self.done_at = now
            delete_old_logs(home / "dagster" / "logs", now)


def delete_old_logs(folder: Path, now: float) -> None:
    """Delete the logs of Dagster's runs after two weeks, and those of its sensors' ticks after two days.

    `now` is in seconds since 1970.
    """
    for place, _, names in os.walk(folder, topdown=False):
        kept = _KEPT_TICKS if "__repository__" in Path(place).parts else _KEPT_RUNS
        for name in names:
            file = Path(place, name)
            if now - file.stat().st_mtime > kept:
                file.unlink()
        if place != str(folder) and not any(Path(place).iterdir()):
            Path(place).rmdir()


def rotate_large_logs(folder: Path) -> None:
    """Rotate the logs to which each start appends once they are larger than 5 MiB; no program may have them open."""
    for name in ("kafka-format.log", "influxdb-build.log"):
        log = folder / name
        if log.exists() and log.stat().st_size > _LARGE:
            rotate_log(log)


def find_logs(home: Path, state: Path) -> dict[str, Path]:
    """Return name -> log of each service, of supervisord, and of the newest run of each program.

    `state` is the folder that holds the state folders of the programs.
    """
    logs = {file.stem: file for file in sorted((home / "logs").glob("*.log"))}
    for name, folder in _PROGRAMS.items():
        heartbeat = read_heartbeat(state / folder)
        if heartbeat and heartbeat.run_id:
            for file in (home / "dagster" / "logs" / heartbeat.run_id / "compute_logs").glob("*.err"):
                logs[name] = file
    return logs


class Tail:
    """Follows a log, also across its rotation; begins with the last `past` lines that the log has already."""

    def __init__(self, past: int) -> None:
        self._past = past
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._rest = b""

    def read(self, path: Path) -> list[str]:
        """Return the complete lines that were added since the last call; after a rotation also those of the new file.

        Raises:
            FileNotFoundError: there is no such log any more.
        """
        lines = self._added()
        if self._file is None:
            lines = self._opened(path)
            lines = lines[max(0, len(lines) - self._past) :]
        elif path != self._path or not _is_same(path, self._file):
            self._file.close()
            lines += self._opened(path)
        return [line.decode(errors="replace") for line in lines]

    def _opened(self, path: Path) -> list[bytes]:
        self._path, self._file, self._rest = path, path.open("rb"), b""
        return self._added()

    def _added(self) -> list[bytes]:
        if self._file is None:
            return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return lines


def _is_same(path: Path, file: BinaryIO) -> bool:
    """Whether `path` is still the file that was opened, and has not been cut."""
    try:
        now = path.stat()
    except FileNotFoundError:  # between two steps of a rotation
        return True
    return os.path.samestat(now, os.fstat(file.fileno())) and now.st_size >= file.tell()
