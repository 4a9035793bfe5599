"""What a source has already been asked, and answered, for one symbol and interval."""

from dataclasses import dataclass
from datetime import datetime

UNKNOWN_SYMBOL = "unknown symbol"  # how `last_answer` begins while the source does not know the symbol
MORE_TO_COME = "more to come"  # how it ends while a long history is fetched in parts
EXTENDED_HOURS = ", extended hours"  # how `origin` ends where they are covered, too


@dataclass(frozen=True, slots=True)
class Coverage:
    """One row of `ingest_coverage`. Every time is UTC.

    `origin` names what the answers came from: a file and its version, a seed. Another origin starts anew, but for the
    hours of the same source.
    `next_due` is when the source will have more to give; None once it has given all that it has.
    """

    symbol: str
    interval: str
    origin: str
    covered_until: datetime  # bars that start up to here have been asked for and, where they exist, published
    newest_bar: datetime | None
    last_answer: str
    next_due: datetime | None
    failures: int = 0  # failed answers in a row


@dataclass(frozen=True, slots=True)
class PermanentGap:
    """Bars that start from `begins_at` to before `ends_at` (UTC), are not stored and can't be had any more."""

    symbol: str
    interval: str
    begins_at: datetime
    ends_at: datetime
    why: str


def covers_extended_hours(row: Coverage) -> bool:
    """Return whether bars before the open and after the close are covered, too."""
    return row.origin.endswith(EXTENDED_HOURS)


def has_history(row: Coverage | None) -> bool:
    """Return whether a symbol's first history is published, or can't be: the source does not know the symbol."""
    if row is None:
        return False
    if row.last_answer.startswith(UNKNOWN_SYMBOL):
        return True
    return row.newest_bar is not None and not row.last_answer.endswith(MORE_TO_COME)
