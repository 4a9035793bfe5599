"""Which dead letters a command chooses, and which of them may go back to their topic: pure functions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from spark_streaming.contract import validity
from spark_streaming.contract.quote_validity import quote_rejection_reason
from spark_streaming.contract.validity import Reason
from stock_assets.pipeline.dead_letters import DeadLetter
from stock_assets.pipeline.kafka_records import KafkaRecord, fields_of, symbol_of

_SHOWN_CHARACTERS = 4_000
# What a later message would supersede: a bar's symbol, interval and timestamp; a quote's symbol, timestamp and value,
# for no other quote takes its place.
Subject = tuple[str, object, object]


class RequeueDecision(StrEnum):
    """What `stocks dead-letters requeue` does with a dead letter."""

    REQUEUE = "goes back to its topic"
    ALREADY_REQUEUED = "is settled: the same record came to its topic once more, later"
    SUPERSEDED = "stays: a later message about the same bar, or the same quote, is in the topic"
    STILL_INVALID = "stays: its cause is still there"

    @property
    def settles(self) -> bool:
        """Whether the record is in its topic once more, after the requeue."""
        return self in (RequeueDecision.REQUEUE, RequeueDecision.ALREADY_REQUEUED)


@dataclass(frozen=True)
class DeadLetterGroup:
    """The dead letters of one reason and state."""

    reason: str
    state: str
    count: int
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True)
class DeadLetterFilter:
    """Which dead letters a command chooses: by default all that are open, that is, not settled."""

    reason: str | None = None
    partition: int | None = None  # in the source's topic
    offset: int | None = None  # with an offset, a settled dead letter is chosen too
    settled: bool = False  # choose settled ones too

    def __contains__(self, dead_letter: DeadLetter) -> bool:
        return (
            self.reason in (None, dead_letter.reason)
            and self.partition in (None, dead_letter.partition)
            and self.offset in (None, dead_letter.offset)
            and (dead_letter.settlement is None or self.settled or self.offset is not None)
        )


def group_dead_letters(dead_letters: Iterable[DeadLetter]) -> list[DeadLetterGroup]:
    """One row for each reason and state, the most frequent first."""
    times: dict[tuple[str, str], list[datetime | None]] = defaultdict(list)
    for dead_letter in dead_letters:
        times[dead_letter.reason, dead_letter.state].append(dead_letter.written_at)
    rows = []
    for about, written in times.items():
        known = [at for at in written if at]
        rows.append(DeadLetterGroup(*about, len(written), min(known, default=None), max(known, default=None)))
    return sorted(rows, key=lambda group: (-group.count, group.reason, group.state))


@dataclass(frozen=True)
class MessageRules:
    """How messages of one kind are validated and identified."""

    rejection_reason: Callable[[bytes | None, bytes | None, datetime], Reason | None]  # of key, value and time
    subject: Callable[[KafkaRecord], Subject | None]  # None where the message names none


def requeue_decisions(
    dead_letters: Sequence[DeadLetter],
    choice: DeadLetterFilter,
    messages: Iterable[KafkaRecord],
    now: datetime,
    rules: MessageRules,
) -> list[tuple[DeadLetter, RequeueDecision]]:
    """Return what a requeue does with each dead letter of `choice`.

    None replaces a newer message about its bar. A message in another partition counts as newer, since offsets of two
    partitions don't compare; one that was rejected itself doesn't count, unless it may go back too. A record that went
    back before is in its topic again, byte for byte: a second requeue leaves it alone, also where the first one was
    interrupted before it settled anything. What the database rejected may go back at any time: the database decides.

    Args:
        dead_letters: all that there are.
        choice: which of them may go back.
        messages: all that the source's topic holds, in the order of offsets.
        now: when they would be sent, in UTC.
        rules: BARS or QUOTES.
    """
    rejected = {
        (one.partition, one.offset)
        for one in dead_letters
        if one.settlement or rules.rejection_reason(one.key, one.value, now)
    }
    subjects = {one: rules.subject(one.message) for one in dead_letters if one in choice}
    wanted = set(subjects.values()) - {None}
    newest: dict[Subject, dict[int, int]] = defaultdict(dict)  # partition -> offset; those of two don't compare
    copies: dict[tuple[int, bytes | None, bytes | None], int] = {}  # partition, key, value -> the newest one's offset
    for message in messages:
        subject = rules.subject(message)
        if subject is not None and subject in wanted and (message.partition, message.offset) not in rejected:
            newest[subject][message.partition] = message.offset
            copies[message.partition, message.key, message.value] = message.offset
    decisions = []
    for dead_letter, subject in subjects.items():
        if rules.rejection_reason(dead_letter.key, dead_letter.value, now) is not None:
            decision = RequeueDecision.STILL_INVALID
        elif copies.get((dead_letter.partition, dead_letter.key, dead_letter.value), -1) > dead_letter.offset:
            decision = RequeueDecision.ALREADY_REQUEUED
        elif subject and any(
            partition != dead_letter.partition or offset > dead_letter.offset
            for partition, offset in newest[subject].items()
        ):
            decision = RequeueDecision.SUPERSEDED
        else:
            decision = RequeueDecision.REQUEUE
        decisions.append((dead_letter, decision))
    return decisions


def shown(content: bytes | None) -> str:
    """Return bytes as text for a terminal: UTF-8 as it is, all else escaped, and 4,000 characters or so at most."""
    if content is None:
        return "(none)"
    text = content.decode(errors="backslashreplace")
    safe = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    more = f"… ({len(content):,} bytes)" if len(safe) > _SHOWN_CHARACTERS else ""
    return safe[:_SHOWN_CHARACTERS] + more


def known_reason(text: str | None) -> str | None:
    """`text` itself, where it is the name of a reason, or None.

    Raises:
        ValueError: it is no reason.
    """
    if text is not None and text not in [str(reason) for reason in Reason]:
        raise ValueError(f"{text} is no reason; the reasons are {', '.join(Reason)}")
    return text


def _bar(message: KafkaRecord) -> Subject | None:
    fields = fields_of(message.value)
    bar = (symbol_of(message), fields.get("interval"), fields.get("timestamp"))
    return bar if all(isinstance(part, str) for part in bar) else None


def _quote(message: KafkaRecord) -> Subject | None:
    timestamp = fields_of(message.value).get("timestamp")
    return (symbol_of(message), timestamp, message.value) if isinstance(timestamp, str) else None


BARS = MessageRules(validity.rejection_reason, _bar)
QUOTES = MessageRules(quote_rejection_reason, _quote)
