"""What dead letters are told about, and which of them may go back to their topic: pure functions."""

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
    """What a replay does with a letter."""

    REPLAY = "goes back to its topic"
    BACK = "is settled: the same record came to its topic once more, later"
    NEWER = "stays: a later message about the same bar, or the same quote, is in the topic"
    STILL = "stays: its cause is still there"

    @property
    def settles(self) -> bool:
        """Whether the letter's record is in its topic once more, after the replay."""
        return self in (RequeueDecision.REPLAY, RequeueDecision.BACK)


@dataclass(frozen=True)
class DeadLetterGroup:
    """The letters of one reason and state."""

    reason: str
    state: str
    count: int
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True)
class DeadLetterFilter:
    """Which letters a command is about: all open ones, but for what else is said."""

    reason: str | None = None
    partition: int | None = None  # that it had in the source's topic
    offset: int | None = None  # with it, a settled one is chosen too: it is named
    settled: bool = False  # the settled ones too

    def __contains__(self, letter: DeadLetter) -> bool:
        return (
            self.reason in (None, letter.reason)
            and self.partition in (None, letter.partition)
            and self.offset in (None, letter.offset)
            and (letter.settlement is None or self.settled or self.offset is not None)
        )


def group_dead_letters(letters: Iterable[DeadLetter]) -> list[DeadLetterGroup]:
    """A row a reason and state, the most frequent first."""
    times: dict[tuple[str, str], list[datetime | None]] = defaultdict(list)
    for letter in letters:
        times[letter.reason, letter.state].append(letter.written_at)
    rows = []
    for about, written in times.items():
        known = [at for at in written if at]
        rows.append(DeadLetterGroup(*about, len(written), min(known, default=None), max(known, default=None)))
    return sorted(rows, key=lambda group: (-group.count, group.reason, group.state))


@dataclass(frozen=True)
class MessageRules:
    """What messages are about."""

    rule: Callable[[bytes | None, bytes | None, datetime], Reason | None]
    subject: Callable[[KafkaRecord], Subject | None]  # None where the message doesn't say


def requeue_decisions(
    letters: Sequence[DeadLetter],
    choice: DeadLetterFilter,
    messages: Iterable[KafkaRecord],
    now: datetime,
    kind: MessageRules,
) -> list[tuple[DeadLetter, RequeueDecision]]:
    """What a replay does with each letter of `choice`: none is put over a newer message about its bar, none in vain.

    A message in another partition counts as newer: there is no saying. One that was refused itself doesn't, unless it
    may go back too.

    A record that went back before lies in its topic again, byte for byte: a second replay leaves it alone, also where
    the first one broke off before it had settled anything. What the database refused may go back at any time: the
    database will say.

    Args:
        letters: all that there are.
        choice: which of them may go back.
        messages: all that the source's topic holds, in the order of offsets.
        now: when they would be sent, in UTC.
        kind: BARS or QUOTES.
    """
    refused = {(one.partition, one.offset) for one in letters if one.settlement or kind.rule(one.key, one.value, now)}
    subjects = {letter: kind.subject(letter.message) for letter in letters if letter in choice}
    wanted = set(subjects.values()) - {None}
    newest: dict[Subject, dict[int, int]] = defaultdict(dict)  # partition -> offset; those of two don't compare
    copies: dict[tuple[int, bytes | None, bytes | None], int] = {}  # partition, key, value -> the newest one's offset
    for message in messages:
        subject = kind.subject(message)
        if subject is not None and subject in wanted and (message.partition, message.offset) not in refused:
            newest[subject][message.partition] = message.offset
            copies[message.partition, message.key, message.value] = message.offset
    told = []
    for letter, subject in subjects.items():
        if kind.rule(letter.key, letter.value, now) is not None:
            fate = RequeueDecision.STILL
        elif copies.get((letter.partition, letter.key, letter.value), -1) > letter.offset:
            fate = RequeueDecision.BACK
        elif subject and any(
            partition != letter.partition or offset > letter.offset for partition, offset in newest[subject].items()
        ):
            fate = RequeueDecision.NEWER
        else:
            fate = RequeueDecision.REPLAY
        told.append((letter, fate))
    return told


def shown(content: bytes | None) -> str:
    """Bytes for a terminal: text as it is, all else escaped, and no more than some 4,000 characters."""
    if content is None:
        return "(none)"
    text = content.decode(errors="backslashreplace")
    safe = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    more = f"… ({len(content):,} bytes)" if len(safe) > _SHOWN_CHARACTERS else ""
    return safe[:_SHOWN_CHARACTERS] + more


def known_reason(text: str | None) -> str | None:
    """`text`, where it is a reason.

    Raises:
        ValueError: it is none.
    """
    if text is not None and text not in [str(reason) for reason in Reason]:
        raise ValueError(f"{text} is no reason; there are {', '.join(Reason)}")
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
