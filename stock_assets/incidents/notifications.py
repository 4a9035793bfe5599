"""Decides which notifications are sent: from the incidents that are open now and what was sent before. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from spark_streaming.contract.backoff import delay_seconds

FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)

Key = tuple[str, datetime, "NotificationKind"]


class Severity(StrEnum):
    """How bad an incident is."""

    WARNING = "warning"
    ERROR = "error"


class NotificationKind(StrEnum):
    """What a notification reports of an incident."""

    BEGAN = "began"
    WORSE = "worse"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that is wrong now. A subject has one incident at a time, identified by `since` (UTC)."""

    subject: str  # as check:prices_are_fresh, run:stream_prices, sensor:evaluate_checks
    since: datetime
    severity: Severity
    title: str
    text: str  # the details, with their numbers
    link: str
    is_worse: bool = False  # than an incident of this subject can be at first: notified once more


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of `notice`: a message about an incident. Every address has it once `delivered_at` is set."""

    subject: str
    since: datetime  # of the incident
    kind: NotificationKind
    severity: Severity
    title: str
    text: str
    written_at: datetime
    delivered_at: datetime | None = None
    told: Sequence[str] = ()  # fingerprints of the addresses that have it
    attempts: int = 0
    next_try_at: datetime | None = None
    error: str = ""  # of the last attempt

    @property
    def key(self) -> Key:
        """What identifies it: a second one with the same key is never sent."""
        return self.subject, self.since, self.kind


def new_notifications(
    earlier: Iterable[Notification], incidents: Iterable[Incident], now: datetime
) -> list[Notification]:
    """Return the notifications to write now, of incidents that began, became worse or ended since `earlier`."""
    earlier = list(earlier)
    keys, opened = {notification.key for notification in earlier}, open_notifications(earlier)
    current = {incident.subject: incident for incident in incidents}
    found = [_notify_open(incident, opened.get(incident.subject), keys, now) for incident in current.values()]
    found += [_notify_end(began, now) for subject, began in opened.items() if subject not in current]
    return [notification for notification in found if notification is not None and notification.key not in keys]


def open_notifications(notifications: Iterable[Notification]) -> dict[str, Notification]:
    """Subject -> the notification that its incident began, for incidents that have not ended."""
    notifications = list(notifications)
    ended = {(n.subject, n.since) for n in notifications if n.kind is NotificationKind.OVER}
    began = [n for n in notifications if n.kind is NotificationKind.BEGAN]
    return {n.subject: n for n in began if (n.subject, n.since) not in ended}


def due_notifications(notifications: Iterable[Notification], now: datetime) -> list[Notification]:
    """Return the notifications to be delivered now, in the order in which they were written."""
    undelivered = [notification for notification in notifications if notification.delivered_at is None]
    return [
        notification
        for notification in sorted(undelivered, key=lambda notification: notification.written_at)
        if notification.next_try_at is None or notification.next_try_at <= now
    ]


def after_attempt(
    notification: Notification, outcome: Mapping[str, str], addresses: Sequence[str], now: datetime
) -> Notification:
    """Return the notification after an attempt to deliver it.

    Args:
        notification: as it was before.
        outcome: address -> error, empty where it was delivered. An address that was not reached is left out: the
            notification stays due for it.
        addresses: all that are to have it.
        now: aware.

    Returns:
        With an error, the next attempt is due after a pause that doubles each time, up to an hour.
    """
    delivered_to = tuple(
        dict.fromkeys([*notification.told, *(address for address, error in outcome.items() if not error)])
    )
    attempted = replace(notification, told=delivered_to, attempts=notification.attempts + 1)
    if set(addresses) <= set(delivered_to):
        return replace(attempted, delivered_at=now, next_try_at=None, error="")
    errors = sorted({error for error in outcome.values() if error})
    if not errors:
        return replace(notification, told=delivered_to)
    pause = delay_seconds(attempted.attempts, FIRST_RETRY.total_seconds(), LONGEST_RETRY.total_seconds())
    return replace(attempted, next_try_at=now + timedelta(seconds=pause), error="; ".join(errors))


def _notify_open(incident: Incident, began: Notification | None, keys: set[Key], now: datetime) -> Notification | None:
    if began is None:
        return _make_notification(incident, incident.since, NotificationKind.BEGAN, now)
    was_worse = began.title == incident.title or (incident.subject, began.since, NotificationKind.WORSE) in keys
    has_become_worse = incident.is_worse and not was_worse
    return _make_notification(incident, began.since, NotificationKind.WORSE, now) if has_become_worse else None


def _make_notification(incident: Incident, since: datetime, kind: NotificationKind, now: datetime) -> Notification:
    text = f"{incident.text}\nSince {_shown(incident.since)}.\n{incident.link}"
    return Notification(incident.subject, since, kind, incident.severity, incident.title, text, now)


def _notify_end(began: Notification, now: datetime) -> Notification:
    minutes = (now - began.since).total_seconds() / 60
    link = began.text.rsplit("\n", 1)[-1]
    text = f"It began {_shown(began.since)} and took {minutes:,.0f} minutes.\n{link}"
    title = f"Resolved: {began.title}"
    return Notification(began.subject, began.since, NotificationKind.OVER, began.severity, title, text, now)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
