"""The result of a check as a plain value: its summary and its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

STACK_STARTUP_GRACE = timedelta(minutes=3)  # from the stack's start to its first stored bar; Spark takes up to a minute

Cell = str | int | float | bool | None


class CheckSeverity(StrEnum):
    """How bad a check that fails is, with Dagster's values."""

    WARN = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Evaluation:
    """The result of one check, independent of where it is reported."""

    check: str
    passed: bool
    summary: str
    rows: Sequence[Mapping[str, Cell]]
    figures: Mapping[str, float]  # Dagster's UI plots them over time
    severity: CheckSeverity = CheckSeverity.ERROR


def format_time(moment: datetime | None) -> str:
    """Return a time (UTC) as tables show it; empty for none."""
    return f"{moment:%Y-%m-%d %H:%M:%SZ}" if moment else ""
