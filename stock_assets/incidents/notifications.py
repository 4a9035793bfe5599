"""What people are told, and never twice: troubles that are there now + what was told -> messages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from spark_streaming.contract.backoff import delay_seconds

FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)


class Severity(StrEnum):
    """How bad a trouble is."""

    WARNING = "warning"
    ERROR = "error"


class NotificationKind(StrEnum):
    """What a message says of a trouble."""

    BEGAN = "began"
    WORSE = "worse"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that is wrong now. One of a subject at a time; `since` (UTC) tells one from the next."""

    subject: str  # as check:prices_are_fresh, run:stream_prices, sensor:evaluate_checks
    since: datetime
    severity: Severity
    title: str
    text: str  # what, with its numbers
    link: str
    is_worse: bool = False  # than what is told first: told once more


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of `notice`: a message to people. Told to all of its targets once `delivered_at` is set."""

    subject: str
    since: datetime
    kind: NotificationKind
    severity: Severity
    title: str
    text: str
    written_at: datetime
    delivered_at: datetime | None = None
    told: Sequence[str] = ()  # the targets that have it
    attempts: int = 0
    next_try_at: datetime | None = None
    error: str = ""

    @property
    def key(self) -> tuple[str, datetime, NotificationKind]:
        """What can be told only once."""
        return self.subject, self.since, self.kind


def new_notifications(told: Iterable[Notification], troubles: Iterable[Incident], now: datetime) -> list[Notification]:
    """The messages that are to be written: of what has begun, has become worse, or is over, since `told` was."""
    told = list(told)
    known, begun = {notice.key for notice in told}, open_notifications(told)
    there = {trouble.subject: trouble for trouble in troubles}
    written = [_begun(trouble, begun.get(trouble.subject), known, now) for trouble in there.values()]
    written += [_over(notice, now) for subject, notice in begun.items() if subject not in there]
    return [notice for notice in written if notice is not None and notice.key not in known]


def open_notifications(told: Iterable[Notification]) -> dict[str, Notification]:
    """Subject -> the message that told of its beginning, for what is not over yet."""
    told = list(told)
    over = {(notice.subject, notice.since) for notice in told if notice.kind is NotificationKind.OVER}
    begun = [notice for notice in told if notice.kind is NotificationKind.BEGAN]
    return {notice.subject: notice for notice in begun if (notice.subject, notice.since) not in over}


def due_notifications(notices: Iterable[Notification], now: datetime) -> list[Notification]:
    """What is to be delivered now, in the order in which it was written."""
    waiting = [notice for notice in notices if notice.delivered_at is None]
    return [
        notice
        for notice in sorted(waiting, key=lambda notice: notice.written_at)
        if notice.next_try_at is None or notice.next_try_at <= now
    ]


def after_attempt(
    notice: Notification, outcome: Mapping[str, str], targets: Sequence[str], now: datetime
) -> Notification:
    """The message after a try: `outcome` is target -> error, empty where it went well.

    A target that has it is not told again; the others are, later each time and at least each hour.
    """
    told = tuple(dict.fromkeys([*notice.told, *(target for target, error in outcome.items() if not error)]))
    if set(targets) <= set(told):
        return replace(notice, told=told, delivered_at=now, attempts=notice.attempts + 1, next_try_at=None, error="")
    pause = delay_seconds(notice.attempts + 1, FIRST_RETRY.total_seconds(), LONGEST_RETRY.total_seconds())
    error = "; ".join(sorted({error for error in outcome.values() if error}))
    return replace(
        notice, told=told, attempts=notice.attempts + 1, next_try_at=now + timedelta(seconds=pause), error=error
    )


def _begun(
    trouble: Incident, begun: Notification | None, known: set[tuple[str, datetime, NotificationKind]], now: datetime
) -> Notification | None:
    if begun is None:
        return _notice(trouble, trouble.since, NotificationKind.BEGAN, now)
    was_worse = begun.title == trouble.title or (trouble.subject, begun.since, NotificationKind.WORSE) in known
    return _notice(trouble, begun.since, NotificationKind.WORSE, now) if trouble.is_worse and not was_worse else None


def _notice(trouble: Incident, since: datetime, kind: NotificationKind, now: datetime) -> Notification:
    text = f"{trouble.text}\nSince {_at(trouble.since)}.\n{trouble.link}"
    return Notification(trouble.subject, since, kind, trouble.severity, trouble.title, text, now)


def _over(begun: Notification, now: datetime) -> Notification:
    minutes = (now - begun.since).total_seconds() / 60
    link = begun.text.rsplit("\n", 1)[-1]
    text = f"It began {_at(begun.since)} and took {minutes:,.0f} minutes.\n{link}"
    return Notification(
        begun.subject, begun.since, NotificationKind.OVER, begun.severity, f"Over: {begun.title}", text, now
    )


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
