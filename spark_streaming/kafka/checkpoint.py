"""Reads Spark's checkpoint: how far the stream has come. A damaged one is an error before Spark starts from a guess.

Spark keeps a file for each batch: `offsets/N` before it begins, `commits/N` once it is done; and in `sources/0/0` where
the very first one began.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Offsets = Mapping[int, int]  # partition -> the next offset


class CheckpointError(RuntimeError):
    """A file of the checkpoint is missing or cut short; the message has the remedy."""


@dataclass(frozen=True)
class Checkpoint:
    """The offsets of a checkpoint."""

    done: Offsets  # up to where all is stored
    planned: Offsets  # up to where a batch has at least begun


def read_checkpoint(folder: Path, topic: str) -> Checkpoint | None:
    """Return how far the stream has come in `topic`; None where it has not begun.

    Raises:
        CheckpointError: something is missing or can't be read, or it is of another topic.
    """
    batches, commits = _numbers(folder / "offsets"), _numbers(folder / "commits")
    if not batches and not commits:
        return None
    _json(folder / "metadata", "", folder)
    last, committed = max(batches, default=-1), max(commits, default=-1)
    if committed not in (last, last - 1):
        raise _damaged(folder, f"its last batch is {last}, and the last one that was done is {committed}")
    planned = _offsets(folder / "offsets" / str(last), topic, folder)
    if committed < 0:
        return Checkpoint(_offsets(folder / "sources" / "0" / "0", topic, folder), planned)
    _json(folder / "commits" / str(committed), "v1\n", folder)
    return Checkpoint(_offsets(folder / "offsets" / str(committed), topic, folder), planned)


def remedy(folder: Path) -> str:
    """Return how to go on without the checkpoint."""
    return (
        f"To read what the topic holds from its start, which changes no stored point, remove {folder} and start again."
    )


def _numbers(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal()}


def _offsets(path: Path, topic: str, folder: Path) -> Offsets:
    found = _json(path, "v1\n", folder)
    if topic not in found:
        raise CheckpointError(f"The checkpoint {folder} is of {', '.join(found)}, not of {topic}. {remedy(folder)}")
    try:
        return {int(partition): int(offset) for partition, offset in dict(found[topic]).items()}
    except (TypeError, ValueError):
        raise _damaged(folder, f"{path.relative_to(folder)} holds no offsets") from None


def _json(path: Path, start: str, folder: Path) -> dict[str, Any]:
    """The last line of a file that begins with `start`."""
    name = path.relative_to(folder)
    try:
        text = path.read_text().lstrip("\0")  # Spark begins `sources` with a zero byte
        found = json.loads(text.splitlines()[-1])
    except (OSError, ValueError, IndexError):
        raise _damaged(folder, f"{name} is missing or cut short") from None
    if not text.startswith(start) or not isinstance(found, dict):
        raise _damaged(folder, f"{name} is not what Spark writes")
    return found


def _damaged(folder: Path, what: str) -> CheckpointError:
    return CheckpointError(f"The checkpoint {folder} is damaged: {what}. {remedy(folder)}")
