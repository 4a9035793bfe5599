"""How a long-lived program and those who watch it see each other: a lock, a heartbeat and a request to drain.

All three are files in one folder, the program's state folder. The lock is what guarantees that there is one writer;
the heartbeat only tells about it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class ProgramState(StrEnum):
    """What a program says of itself."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class FeedHeartbeat:
    """What a program did of its second feed, the quotes; the same words as in `Heartbeat`."""

    records: int = 0
    rejected: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    lag: int | None = None
    newest_event: datetime | None = None
    detail: str = ""  # how it goes, or the error that it is getting over


@dataclass(frozen=True)
class Heartbeat:
    """What a program wrote last. Times are UTC; an age is judged by the reader."""

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
    """Messages that are not yet done: partition -> where the topic ends, and -> the next offset to be done."""
    return sum(max(0, end - done.get(partition, 0)) for partition, end in ends.items())


def write_heartbeat(folder: Path, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat of `folder` in one step: a reader never sees half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "heartbeat.json.new"
    draft.write_text(json.dumps(asdict(heartbeat), default=datetime.isoformat))
    draft.replace(folder / "heartbeat.json")


def read_heartbeat(folder: Path) -> Heartbeat | None:
    """The last heartbeat of `folder`; None where there has never been one, or a machine went down over it.

    A cut-off one must not stop those who watch: no program would be started, and so none would write another.
    """
    try:
        values = json.loads((folder / "heartbeat.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    told = _read(Heartbeat, values)
    quotes = values.get("quotes")
    return Heartbeat(
        **told
        | {
            "state": ProgramState(told["state"]),
            "quotes": FeedHeartbeat(**_read(FeedHeartbeat, quotes)) if quotes else None,
        }
    )


def _read(kind: type[Heartbeat] | type[FeedHeartbeat], values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that `kind` knows, of the types that JSON doesn't have."""
    told = {f.name: values[f.name] for f in fields(kind) if f.name in values}
    for name in ("started_at", "written_at", "newest_event"):
        if told.get(name):
            told[name] = datetime.fromisoformat(told[name])
    return told | {"offsets": {int(partition): offset for partition, offset in told["offsets"].items()}}
