"""Dead letters, and the records beside them in their topic that settle them. Pure.

A letter is known by the place that its record had in the source's topic: written again, it is the same letter, and
stays settled. Nothing is ever taken from the topic.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from spark_streaming.contract.schema import (
    HEADER_ERROR,
    HEADER_NOTE,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_REASON,
    HEADER_SETTLEMENT,
    HEADER_TOPIC,
)
from stock_assets.pipeline.kafka_records import KafkaRecord, is_settlement, origin_of, symbol_of

_EVER = datetime.min.replace(tzinfo=UTC)


class SettlementOutcome(StrEnum):
    """How a letter was settled."""

    REPLAYED = "replayed"  # the record is in its topic once more, and has a fate of its own there
    DISMISSED = "dismissed"  # it is right that it was refused


@dataclass(frozen=True, slots=True)
class Settlement:
    """Says that nobody has to do anything about a letter any more."""

    outcome: SettlementOutcome
    at: datetime | None  # UTC
    note: str

    def __str__(self) -> str:
        at = f" {self.at:%Y-%m-%d %H:%M:%SZ}" if self.at else ""
        return f"{self.outcome}{at}" + (f": {self.note}" if self.note else "")


@dataclass(frozen=True)
class DeadLetter:
    """A record that was dead-lettered, counted once however often it was written."""

    topic: str
    partition: int
    offset: int
    reason: str
    error: str
    key: bytes | None
    value: bytes | None
    written_at: datetime | None
    kept_in: int = 0  # the dead-letter topic's partition where it lies
    settlement: Settlement | None = None  # the newest; None while the letter is open

    @property
    def state(self) -> str:
        """`open`, or how it was settled."""
        return self.settlement.outcome.value if self.settlement else "open"

    @property
    def message(self) -> KafkaRecord:
        """The record as it lay in its topic."""
        return KafkaRecord(self.topic, self.partition, self.offset, self.key, self.value, {})


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """How many letters about a symbol have a reason."""

    symbol: str
    reason: str
    open: int
    settled: int


def dead_letters_in(records: Iterable[KafkaRecord]) -> list[DeadLetter]:
    """Return the dead letters of a dead-letter topic, in the order of the offsets that they had."""
    written: dict[tuple[int, int], KafkaRecord] = {}
    settled: dict[tuple[int, int], KafkaRecord] = {}
    for record in records:
        origin = origin_of(record)
        if not is_settlement(record):
            written[origin] = record
        elif origin not in settled or (record.sent_at or _EVER) >= (settled[origin].sent_at or _EVER):
            settled[origin] = record  # by time: two copies of a letter may lie in two partitions, and so may these
    return [
        DeadLetter(
            header_text(record, HEADER_TOPIC), *origin,
            header_text(record, HEADER_REASON), header_text(record, HEADER_ERROR),
            record.key, record.value, record.sent_at, record.partition, _settlement(settled.get(origin)),
        )
        for origin, record in sorted(written.items())
    ]  # fmt: skip


def count_dead_letters(records: Iterable[KafkaRecord]) -> list[DeadLetterCount]:
    """Count the dead letters of a dead-letter topic by symbol and reason; keeps no more of each than that."""
    written: dict[tuple[int, int], tuple[str, str]] = {}
    settled: set[tuple[int, int]] = set()
    for record in records:
        if is_settlement(record):
            settled.add(origin_of(record))
        else:
            written[origin_of(record)] = (symbol_of(record), header_text(record, HEADER_REASON))
    counts: dict[tuple[str, str], list[int]] = {}
    for origin, about in written.items():
        counts.setdefault(about, [0, 0])[origin in settled] += 1
    return [DeadLetterCount(*about, *count) for about, count in sorted(counts.items())]


def settlement_headers(letter: DeadLetter, outcome: SettlementOutcome, note: str = "") -> list[tuple[str, bytes]]:
    """Headers of the record that settles `letter`. They are all that it has: keys and values may be large."""
    texts = {
        HEADER_SETTLEMENT: outcome.value,
        HEADER_NOTE: note,
        HEADER_TOPIC: letter.topic,
        HEADER_PARTITION: str(letter.partition),
        HEADER_OFFSET: str(letter.offset),
    }
    return [(name, text.encode()) for name, text in texts.items()]


def header_text(record: KafkaRecord, header: str) -> str:
    """Return a header's text; empty where it has none."""
    return record.headers.get(header, b"").decode(errors="replace")


def _settlement(record: KafkaRecord | None) -> Settlement | None:
    if record is None:
        return None
    return Settlement(
        SettlementOutcome(header_text(record, HEADER_SETTLEMENT)), record.sent_at, header_text(record, HEADER_NOTE)
    )
