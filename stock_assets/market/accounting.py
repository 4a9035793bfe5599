"""Every message that reached Kafka is stored once or dead-lettered: the books that show it, a row a symbol."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from spark_streaming.contract.schema import HEADER_OFFSET, HEADER_PARTITION, HEADER_SETTLEMENT

UNATTRIBUTED = "(no symbol)"


@dataclass(frozen=True, slots=True)
class Message:
    """A Kafka record as it lies in its topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    sent_at: datetime | None = None  # by the clock of the sender, UTC


@dataclass(frozen=True, slots=True)
class Account:
    """A symbol's row. `superseded` are messages whose bar came again later: the newest one counts."""

    symbol: str
    published: int
    superseded: int
    stored: int
    dead_lettered: int
    oldest: datetime | None
    newest: datetime | None

    @property
    def missing(self) -> int:
        """Published bars that are neither stored nor dead-lettered; below zero where more is stored than published."""
        return self.published - self.stored - self.dead_lettered


def symbol_of(message: Message) -> str:
    """The symbol that a message is about, as far as it says so."""
    symbol = fields_of(message.value).get("symbol")
    if isinstance(symbol, str) and symbol:
        return symbol
    return message.key.decode(errors="replace") if message.key else UNATTRIBUTED


def origin_of(letter: Message) -> tuple[int, int]:
    """Partition and offset at which a dead letter, or the one that a settlement settles, lay in the source's topic."""
    return int(letter.headers[HEADER_PARTITION]), int(letter.headers[HEADER_OFFSET])


def is_settlement(record: Message) -> bool:
    """Whether a record of a dead-letter topic settles a letter and is none itself."""
    return HEADER_SETTLEMENT in record.headers


def fields_of(value: bytes | None) -> dict[str, object]:
    """The fields of a message; none where it is no JSON object."""
    try:
        parsed = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def accounts(
    messages: Iterable[Message],
    dead_letters: Iterable[Message],
    stored: Mapping[str, tuple[int, datetime, datetime]],
) -> list[Account]:
    """Close the books.

    A bar is a distinct (symbol, interval, time); a dead letter is a distinct (partition, offset) of the source's
    topic, however often it was written, settled or not. `stored` is symbol -> points, start of the oldest bar, start of
    the newest.
    """
    dead = {origin_of(letter): symbol_of(letter) for letter in dead_letters if not is_settlement(letter)}
    bars: dict[str, set[tuple[str, str]]] = defaultdict(set)
    sent: Counter[str] = Counter()
    for message in messages:
        if (message.partition, message.offset) in dead:
            continue
        value, symbol = fields_of(message.value), symbol_of(message)
        bars[symbol].add((str(value.get("interval")), str(value.get("timestamp"))))
        sent[symbol] += 1
    dead_lettered = Counter(dead.values())
    rows = []
    for symbol in sorted(bars.keys() | dead_lettered.keys() | stored.keys()):
        points, oldest, newest = stored.get(symbol, (0, None, None))
        rows.append(
            Account(
                symbol,
                published=len(bars[symbol]) + dead_lettered[symbol],
                superseded=sent[symbol] - len(bars[symbol]),
                stored=points,
                dead_lettered=dead_lettered[symbol],
                oldest=oldest,
                newest=newest,
            )
        )
    return rows
