"""Every message that reached Kafka is stored once or dead-lettered: the books that show it, a row a symbol."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from stock_assets.pipeline.kafka_records import KafkaRecord, fields_of, is_settlement, origin_of, symbol_of


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


def accounts(
    messages: Iterable[KafkaRecord],
    dead_letters: Iterable[KafkaRecord],
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
