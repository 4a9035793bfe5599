"""Follows a bar from the source's answer to the database. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from spark_streaming.contract.schema import PRICE_FIELDS, VOLUME_FIELD
from stock_assets.market.calendars import session_on
from stock_assets.market.symbols import exchange_of
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.dead_letters import dead_letters_in
from stock_assets.pipeline.kafka_records import KafkaRecord, fields_of, symbol_of


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `begin` to before `end`, in UTC."""

    begin: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.begin <= moment < self.end


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """A message about a bar, and where it is now; `fate` describes it."""

    start: datetime
    interval: str
    partition: int
    offset: int
    sent_at: datetime | None
    fate: str
    is_lost: bool


def trace_range(symbol: str, when: str) -> TimeRange:
    """Parse a date, as the session of that day at the symbol's exchange, or a time, as that second.

    Raises:
        ValueError: neither a date nor a time; or no session on that day.
    """
    if len(when) == len("2013-03-01"):
        session = session_on(exchange_of(symbol), date.fromisoformat(when))
        midnight = datetime.combine(session.day, time(), UTC)
        # Bars before the open and after the close, where a source has them, are of that day too.
        return TimeRange(min(session.opened, midnight), max(session.closed, midnight + timedelta(days=1)))
    moment = datetime.fromisoformat(when)
    if moment.tzinfo is None:
        raise ValueError(f"{when} names no time zone; write {when}Z for UTC")
    return TimeRange(moment.astimezone(UTC), moment.astimezone(UTC) + timedelta(seconds=1))


def describe_coverage(coverage: Sequence[Coverage], span: TimeRange) -> list[str]:
    """Return a sentence for each interval on what the source was asked and answered."""
    if not coverage:
        return ["the source has never been asked for this symbol"]
    lines = []
    for row in coverage:
        asked = f"asked up to {row.covered_until:%Y-%m-%d %H:%MZ}, answer {row.last_answer!r}"
        described = f"{row.interval} bars, {row.origin}: {asked}"
        newest = f", newest bar {row.newest_bar:%Y-%m-%d %H:%MZ}" if row.newest_bar else ", no bar"
        if row.covered_until >= span.begin:
            lines.append(described + newest)
        elif row.next_due is None:
            lines.append(f"{described}{newest}; it has given all that it has, and nothing of that day")
        else:
            lines.append(f"{described}{newest}; not asked for that day yet, next due {row.next_due:%Y-%m-%d %H:%MZ}")
    return lines


def trace_messages(
    symbol: str,
    span: TimeRange,
    messages: Iterable[KafkaRecord],
    dead_letters: Iterable[KafkaRecord],
    stored: Mapping[tuple[str, datetime], Mapping[str, float]],
    done: Mapping[int, int],
) -> list[TracedMessage]:
    """Return every message about a bar of `symbol` in `span`, in the order of bars and offsets.

    `stored` is (interval, start) -> fields of the point; `done` is partition -> offset that the stream has yet to do.
    """
    dead_lettered = {(one.partition, one.offset): one for one in dead_letters_in(dead_letters)}
    of_symbol = [
        (start, m) for m in messages if symbol_of(m) == symbol and (start := _start(m)) is not None and start in span
    ]
    good = [(start, m) for start, m in of_symbol if (m.partition, m.offset) not in dead_lettered]
    newest = {(str(fields_of(m.value).get("interval")), start): (m.partition, m.offset) for start, m in good}
    found = []
    for start, message in sorted(of_symbol, key=lambda pair: (pair[0], pair[1].partition, pair[1].offset)):
        interval = str(fields_of(message.value).get("interval"))
        at = (message.partition, message.offset)
        lost = False
        if at in dead_lettered:
            dead_letter = dead_lettered[at]
            fate = f"dead-lettered: {dead_letter.reason}. {dead_letter.error}".strip()
            fate += f" It was {dead_letter.settlement}" if dead_letter.settlement else ""
        elif newest[interval, start] != at:
            fate = "superseded by a later message"
        elif (interval, start) in stored:
            fields = stored[interval, start]
            names = [name for name in (*PRICE_FIELDS, VOLUME_FIELD) if name in fields]
            fate = "stored: " + ", ".join(f"{name} {fields[name]:,}" for name in names)
        elif message.offset >= done.get(message.partition, 0):
            fate = "pending: the stream has not read it yet"
        else:
            fate, lost = "neither stored nor dead-lettered: reprocess the topic from its start", True
        found.append(TracedMessage(start, interval, *at, message.sent_at, fate, lost))
    return found


def _start(message: KafkaRecord) -> datetime | None:
    try:
        return datetime.fromisoformat(str(fields_of(message.value).get("timestamp"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
