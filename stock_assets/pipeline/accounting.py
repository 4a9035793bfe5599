"""Every message that reached Kafka is stored once or dead-lettered: what is compared to show it. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from spark_streaming.contract.schema import PRICE_FIELDS, VOLUME_FIELD
from stock_assets.market.bars import interval_length
from stock_assets.pipeline.kafka_records import KafkaRecord, fields_of, symbol_of

MOST_IN_A_SPAN = 5_000  # published bars that are held against storage at once
_SPAN_BARS = 5_000  # no bar for so many intervals: another request is cheaper than the points between
_TOLERANCE = 1e-12  # relative: what a decimal number loses on its way through two parsers

Values = tuple[float, ...]  # open, high, low, close, volume


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


@dataclass(frozen=True, slots=True)
class PublishedBar:
    """A bar with the newest message about it; `values` is None where they are not known any more."""

    symbol: str
    interval: str
    start: datetime
    partition: int
    offset: int
    values: Values | None


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message that names no bar: it can only be dead-lettered."""

    symbol: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class UnstoredBar:
    """A published bar that the stream has processed, and that is not stored as its newest message says."""

    symbol: str
    interval: str
    start: datetime | None  # None: the message names no bar
    partition: int
    offset: int
    reason: str

    def __str__(self) -> str:
        bar = f"{self.interval} {self.start:%Y-%m-%dT%H:%M:%SZ}" if self.start else "a message without a bar"
        return f"{self.symbol} {bar} ({self.reason}; partition {self.partition}, offset {self.offset})"


def read_message(record: KafkaRecord) -> PublishedBar | UnreadableMessage:
    """Parse a message to its bar, or to an UnreadableMessage if it names none."""
    fields = fields_of(record.value)
    named = fields.get("symbol")
    symbol = named if isinstance(named, str) and named else symbol_of(record)
    try:
        interval, start = fields["interval"], datetime.fromisoformat(str(fields["timestamp"]))
        values = tuple(float(str(fields[name])) for name in (*PRICE_FIELDS, VOLUME_FIELD) if name in fields)
    except (KeyError, ValueError):
        return UnreadableMessage(symbol, record.partition, record.offset)
    if not isinstance(interval, str) or not interval or start.tzinfo is None:
        return UnreadableMessage(symbol, record.partition, record.offset)
    return PublishedBar(symbol, interval, start.astimezone(UTC), record.partition, record.offset, values)


def is_stored_as(values: Values | None, stored: Values | None) -> bool:
    """Return whether a stored point has the values of a message; unknown values ask for the point alone."""
    if stored is None:
        return False
    if values is None:
        return True
    pairs = zip(values, stored, strict=False)
    return len(values) == len(stored) and all(math.isclose(a, b, rel_tol=_TOLERANCE) for a, b in pairs)


def unstored(bar: PublishedBar, stored: Values | None) -> UnstoredBar | None:
    """Return what is wrong with a bar that the stream has processed; None if it is stored as its message says."""
    if is_stored_as(bar.values, stored):
        return None
    reason = "not stored" if stored is None else "stored with other values: its correction is lost"
    return UnstoredBar(bar.symbol, bar.interval, bar.start, bar.partition, bar.offset, reason)


def spans(bars: Iterable[PublishedBar]) -> Iterator[Sequence[PublishedBar]]:
    """Yield groups of bars, by series and time; one bounded request for the points of a series covers a group."""
    group: list[PublishedBar] = []
    for bar in bars:
        if group and not _is_near(group, bar):
            yield group
            group = []
        group.append(bar)
    if group:
        yield group


def _is_near(group: Sequence[PublishedBar], bar: PublishedBar) -> bool:
    last = group[-1]
    if len(group) >= MOST_IN_A_SPAN or (bar.symbol, bar.interval) != (last.symbol, last.interval):
        return False
    length, day = interval_length(bar.interval) or timedelta(days=1), timedelta(days=1)
    return bar.start - last.start <= min(max(_SPAN_BARS * length, day), 10 * day)
