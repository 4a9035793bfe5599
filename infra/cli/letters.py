"""What dead letters are about, and which of them may go back to their topic: pure functions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from spark_streaming.contract import validity
from spark_streaming.contract.quote_validity import quote_reason
from spark_streaming.contract.schema import HEADER_ERROR, HEADER_REASON, HEADER_TOPIC
from spark_streaming.contract.validity import Reason
from stock_assets.market.accounting import Message, fields_of, origin_of, symbol_of

_SHOWN_CHARACTERS = 4_000
# What a later message would supersede: a bar's symbol, interval and timestamp; a quote's symbol, timestamp and value,
# for no other quote takes its place.
Subject = tuple[str, object, object]


class Fate(StrEnum):
    """What a replay does with a letter."""

    REPLAY = "goes back to its topic"
    NEWER = "stays: a later message about the same bar, or the same quote, is in the topic"
    STILL = "stays: its cause is still there"


@dataclass(frozen=True)
class Letter:
    """A record that was dead-lettered, counted once however often it was written."""

    topic: str
    partition: int
    offset: int
    reason: str
    error: str
    key: bytes | None
    value: bytes | None
    written_at: datetime | None

    @property
    def message(self) -> Message:
        """The record as it lay in its topic."""
        return Message(self.topic, self.partition, self.offset, self.key, self.value, {})


@dataclass(frozen=True)
class Group:
    """The letters of one reason."""

    reason: str
    count: int
    oldest: datetime | None
    newest: datetime | None


def letters_of(messages: Iterable[Message]) -> list[Letter]:
    """The letters of a dead-letter topic, in the order of the offsets that they had."""
    found = {origin_of(message): message for message in messages}
    return [
        Letter(
            _text(message, HEADER_TOPIC), *origin, _text(message, HEADER_REASON), _text(message, HEADER_ERROR),
            message.key, message.value, message.sent_at,
        )
        for origin, message in sorted(found.items())
    ]  # fmt: skip


def grouped(letters: Iterable[Letter]) -> list[Group]:
    """A row a reason, the most frequent first."""
    times: dict[str, list[datetime | None]] = defaultdict(list)
    for letter in letters:
        times[letter.reason].append(letter.written_at)
    rows = []
    for reason, written in times.items():
        known = [at for at in written if at]
        rows.append(Group(reason, len(written), min(known, default=None), max(known, default=None)))
    return sorted(rows, key=lambda group: (-group.count, group.reason))


@dataclass(frozen=True)
class Kind:
    """What messages are about."""

    rule: Callable[[bytes | None, bytes | None, datetime], Reason | None]
    subject: Callable[[Message], Subject | None]  # None where the message doesn't say


def fates(
    letters: Sequence[Letter], messages: Iterable[Message], now: datetime, kind: Kind
) -> list[tuple[Letter, Fate]]:
    """What a replay does with each letter: none is put over a newer message about its bar, none goes back in vain.

    A message in another partition counts as newer: there is no saying.

    A letter that went back before is such a newer message itself, so a second replay leaves it alone. What the database
    refused may go back at any time: the database will say.

    Args:
        letters: which may go back.
        messages: all that the source's topic holds, in the order of offsets.
        now: when they would be sent, in UTC.
        kind: BARS or QUOTES.
    """
    subjects = {letter: kind.subject(letter.message) for letter in letters}
    wanted = set(subjects.values()) - {None}
    newest: dict[Subject, dict[int, int]] = defaultdict(dict)  # partition -> offset; those of two don't compare
    for message in messages:
        subject = kind.subject(message)
        if subject is not None and subject in wanted:
            newest[subject][message.partition] = message.offset
    told = []
    for letter in letters:
        subject = subjects[letter]
        if kind.rule(letter.key, letter.value, now) is not None:
            fate = Fate.STILL
        elif subject and any(
            partition != letter.partition or offset > letter.offset for partition, offset in newest[subject].items()
        ):
            fate = Fate.NEWER
        else:
            fate = Fate.REPLAY
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


def _bar(message: Message) -> Subject | None:
    fields = fields_of(message.value)
    bar = (symbol_of(message), fields.get("interval"), fields.get("timestamp"))
    return bar if all(isinstance(part, str) for part in bar) else None


def _quote(message: Message) -> Subject | None:
    timestamp = fields_of(message.value).get("timestamp")
    return (symbol_of(message), timestamp, message.value) if isinstance(timestamp, str) else None


def _text(message: Message, header: str) -> str:
    return message.headers.get(header, b"").decode(errors="replace")


BARS = Kind(validity.reason, _bar)
QUOTES = Kind(quote_reason, _quote)
