"""The heartbeat of a long-lived program: the file in its state folder that reports what it does.

That one program writes at a time is guaranteed by the lock in the same folder, not by the heartbeat.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from spark_streaming.contract.state_file import UnreadableStateError, read_state, write_state

_FILE = "heartbeat.json"


class ProgramState(StrEnum):
    """The state that a program reports."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class FeedHeartbeat:
    """The second feed of a program, the quotes; its fields mean the same as those of `Heartbeat`."""

    records: int = 0
    rejected: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    lag: int | None = None
    newest_event: datetime | None = None
    detail: str = ""  # what it is doing, or the error after which it will try again


@dataclass(frozen=True)
class Heartbeat:
    """The newest report of a program. Times are UTC; the reader decides how old is too old."""

    run_id: str  # of the Dagster run that started it; empty when started by hand
    pid: int
    state: ProgramState
    started_at: datetime
    written_at: datetime
    records: int = 0  # published, or read from Kafka, since the start
    rejected: int = 0
    offsets: dict[int, int] = field(default_factory=dict)  # partition -> next offset that is not yet done
    lag: int | None = None  # messages not yet done; None while unknown
    newest_event: datetime | None = None
    phases: dict[str, float] = field(default_factory=dict)  # seconds in each phase of the stream's newest batch
    detail: str = ""  # the error of a failed program, else what it is doing
    quotes: FeedHeartbeat | None = None  # None where there is no second feed


def behind(ends: Mapping[int, int], done: Mapping[int, int]) -> int:
    """Return how many messages wait; `ends` is partition -> end of the topic, `done` partition -> the next offset."""
    return sum(max(0, end - done.get(partition, 0)) for partition, end in ends.items())


def write_heartbeat(folder: Path, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat of `folder` in one step: a reader never sees half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_state(folder / _FILE, json.dumps(asdict(heartbeat), default=datetime.isoformat))


def read_heartbeat(folder: Path) -> Heartbeat | None:
    """Return the last heartbeat of `folder`; None where there is none, or it can't be understood.

    Such a one is set aside. It must not stop the sensors: they would start no program, and so none would write another.
    """
    return read_state(folder / _FILE, Heartbeat, _check)


def _check(heartbeat: Heartbeat) -> None:
    if not 0 < heartbeat.pid < 2**31:  # 0 and below would name groups of processes
        raise UnreadableStateError(f"{heartbeat.pid} is no process")
