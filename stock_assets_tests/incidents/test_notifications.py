from dataclasses import replace
from datetime import UTC, datetime, timedelta

from stock_assets.incidents.notifications import (
    Incident,
    Notification,
    NotificationKind,
    Severity,
    after_attempt,
    due_notifications,
    new_notifications,
)

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
LATE = Incident(
    "check:prices_are_fresh", NOW, Severity.ERROR, "prices_are_fresh failed", "1 is late: AAPL", "http://ui/x"
)


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


class History:
    """The notifications so far; each step adds those of the incidents that are open then."""

    def __init__(self) -> None:
        self.written: list[Notification] = []

    def step(self, *incidents: Incident, minute: float = 0) -> list[str]:
        new = new_notifications(self.written, incidents, later(minute))
        self.written += new
        return [notification.title for notification in new]


def test_an_incident_is_notified_once_and_once_when_it_is_resolved() -> None:
    history = History()
    assert history.step(LATE) == ["prices_are_fresh failed"]
    assert history.step(LATE, minute=1) == []
    assert history.step(minute=12) == ["Resolved: prices_are_fresh failed"]
    assert history.step(minute=13) == []
    began, over = history.written
    assert began.text == "1 is late: AAPL\nSince 2026-11-20 15:00:00 UTC.\nhttp://ui/x"
    assert over.text == "It began 2026-11-20 15:00:00 UTC and took 12 minutes.\nhttp://ui/x"


def test_the_next_incident_of_a_subject_is_notified_and_the_same_one_is_not_again() -> None:
    history = History()
    history.step(LATE)
    history.step(minute=1)
    assert history.step(LATE, minute=2) == []  # the same one, found again
    assert history.step(replace(LATE, since=later(3)), minute=3) == ["prices_are_fresh failed"]


def test_an_incident_that_becomes_worse_is_notified_once_more() -> None:
    slow = replace(LATE, title="stream_keeps_up warns", severity=Severity.WARNING)
    stuck = replace(LATE, title="stream_keeps_up failed", is_worse=True)
    history = History()
    assert history.step(slow) == ["stream_keeps_up warns"]
    assert history.step(stuck, minute=4) == ["stream_keeps_up failed"]
    assert history.step(slow, minute=5) == []
    assert history.step(stuck, minute=6) == []
    assert history.step(minute=7) == ["Resolved: stream_keeps_up warns"]


def test_an_incident_that_is_bad_from_its_beginning_does_not_become_worse() -> None:
    history = History()
    assert history.step(replace(LATE, is_worse=True)) == ["prices_are_fresh failed"]
    assert history.step(replace(LATE, is_worse=True), minute=1) == []


def test_incidents_of_two_subjects_have_notifications_of_their_own() -> None:
    history = History()
    other = replace(LATE, subject="run:stream_prices", title="stream_prices failed")
    assert history.step(LATE, other) == ["prices_are_fresh failed", "stream_prices failed"]
    assert history.step(other, minute=1) == ["Resolved: prices_are_fresh failed"]


def test_a_failed_delivery_is_retried_after_a_longer_pause_each_time() -> None:
    [notification] = new_notifications([], [LATE], NOW)
    tries = []
    for _ in range(10):
        notification = after_attempt(notification, {"mail": "no route"}, ["mail"], NOW)
        assert notification.next_try_at is not None
        tries.append((notification.next_try_at - NOW).total_seconds())
    assert tries[:4] == [30, 60, 120, 240]
    assert tries[-1] == 3600
    assert notification.error == "no route"
    assert due_notifications([notification], later(59)) == []
    assert due_notifications([notification], later(60)) == [notification]


def test_an_address_that_has_a_notification_does_not_get_it_again_with_a_retry_for_another() -> None:
    [notification] = new_notifications([], [LATE], NOW)
    half = after_attempt(notification, {"mail": "", "chat": "refused"}, ["mail", "chat"], NOW)
    assert half.delivered_at is None
    assert half.told == ("mail",)
    done = after_attempt(half, {"chat": ""}, ["mail", "chat"], later(1))
    assert (done.delivered_at, done.error) == (later(1), "")
    assert due_notifications([done], later(2)) == []


def test_notifications_are_delivered_in_the_order_in_which_they_were_written() -> None:
    history = History()
    history.step(LATE)
    history.step(minute=3)
    assert [notification.kind for notification in due_notifications(reversed(history.written), later(4))] == [
        NotificationKind.BEGAN,
        NotificationKind.OVER,
    ]


def test_a_notification_stays_due_for_an_address_that_was_not_reached() -> None:
    [notification] = new_notifications([], [LATE], NOW)
    unreached = after_attempt(notification, {"mail": ""}, ["mail", "chat"], NOW)
    assert (unreached.told, unreached.attempts, unreached.delivered_at) == (("mail",), 0, None)
    assert due_notifications([unreached], NOW) == [unreached]
