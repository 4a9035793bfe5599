"""Kafka records as they lie in a topic, and what can be read from them without validating them. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from spark_streaming.contract.schema import HEADER_OFFSET, HEADER_PARTITION, HEADER_SETTLEMENT

UNATTRIBUTED = "(no symbol)"


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """A Kafka record as it lies in its topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    sent_at: datetime | None = None  # by the clock of the sender, UTC


def symbol_of(message: KafkaRecord) -> str:
    """Return the symbol that a message is about: of its value, else its key, else UNATTRIBUTED."""
    symbol = fields_of(message.value).get("symbol")
    if isinstance(symbol, str) and symbol:
        return symbol
    return message.key.decode(errors="replace") if message.key else UNATTRIBUTED


def origin_of(dead_letter: KafkaRecord) -> tuple[int, int]:
    """Return partition and offset in the source's topic of a dead letter, or of the one that a settlement settles."""
    return int(dead_letter.headers[HEADER_PARTITION]), int(dead_letter.headers[HEADER_OFFSET])


def is_settlement(record: KafkaRecord) -> bool:
    """Return whether a record of a dead-letter topic settles a dead letter and is none itself."""
    return HEADER_SETTLEMENT in record.headers


def fields_of(value: bytes | None) -> dict[str, object]:
    """Return the fields of a message; none where it is no JSON object."""
    try:
        parsed = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
