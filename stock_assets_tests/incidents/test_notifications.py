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


class Person:
    """Hears of the troubles that are there, again and again."""

    def __init__(self) -> None:
        self.heard: list[Notification] = []

    def told(self, *troubles: Incident, minute: float = 0) -> list[str]:
        written = new_notifications(self.heard, troubles, later(minute))
        self.heard += written
        return [notice.title for notice in written]


def test_a_trouble_is_told_once_and_once_when_it_is_over() -> None:
    person = Person()
    assert person.told(LATE) == ["prices_are_fresh failed"]
    assert person.told(LATE, minute=1) == []
    assert person.told(minute=12) == ["Resolved: prices_are_fresh failed"]
    assert person.told(minute=13) == []
    began, over = person.heard
    assert began.text == "1 is late: AAPL\nSince 2026-11-20 15:00:00 UTC.\nhttp://ui/x"
    assert over.text == "It began 2026-11-20 15:00:00 UTC and took 12 minutes.\nhttp://ui/x"


def test_the_next_trouble_of_a_kind_is_told_anew_and_the_same_one_is_not() -> None:
    person = Person()
    person.told(LATE)
    person.told(minute=1)
    assert person.told(LATE, minute=2) == []  # that very one, seen again
    assert person.told(replace(LATE, since=later(3)), minute=3) == ["prices_are_fresh failed"]


def test_what_becomes_worse_is_told_once_more() -> None:
    slow = replace(LATE, title="stream_keeps_up warns", severity=Severity.WARNING)
    stuck = replace(LATE, title="stream_keeps_up failed", is_worse=True)
    person = Person()
    assert person.told(slow) == ["stream_keeps_up warns"]
    assert person.told(stuck, minute=4) == ["stream_keeps_up failed"]
    assert person.told(slow, minute=5) == []
    assert person.told(stuck, minute=6) == []
    assert person.told(minute=7) == ["Resolved: stream_keeps_up warns"]


def test_what_is_bad_from_the_beginning_does_not_become_worse() -> None:
    person = Person()
    assert person.told(replace(LATE, is_worse=True)) == ["prices_are_fresh failed"]
    assert person.told(replace(LATE, is_worse=True), minute=1) == []


def test_troubles_of_two_kinds_have_messages_of_their_own() -> None:
    person = Person()
    other = replace(LATE, subject="run:stream_prices", title="stream_prices failed")
    assert person.told(LATE, other) == ["prices_are_fresh failed", "stream_prices failed"]
    assert person.told(other, minute=1) == ["Resolved: prices_are_fresh failed"]


def test_a_failed_delivery_is_tried_again_later_each_time() -> None:
    [notice] = new_notifications([], [LATE], NOW)
    tries = []
    for _ in range(10):
        notice = after_attempt(notice, {"mail": "no route"}, ["mail"], NOW)
        assert notice.next_try_at is not None
        tries.append((notice.next_try_at - NOW).total_seconds())
    assert tries[:4] == [30, 60, 120, 240]
    assert tries[-1] == 3600
    assert notice.error == "no route"
    assert due_notifications([notice], later(59)) == []
    assert due_notifications([notice], later(60)) == [notice]


def test_who_has_a_message_is_not_told_again_because_another_has_it_not() -> None:
    [notice] = new_notifications([], [LATE], NOW)
    half = after_attempt(notice, {"mail": "", "chat": "refused"}, ["mail", "chat"], NOW)
    assert half.delivered_at is None
    assert half.told == ("mail",)
    done = after_attempt(half, {"chat": ""}, ["mail", "chat"], later(1))
    assert (done.delivered_at, done.error) == (later(1), "")
    assert due_notifications([done], later(2)) == []


def test_messages_are_delivered_in_the_order_in_which_they_were_written() -> None:
    person = Person()
    person.told(LATE)
    person.told(minute=3)
    assert [notice.kind for notice in due_notifications(reversed(person.heard), later(4))] == [
        NotificationKind.BEGAN,
        NotificationKind.OVER,
    ]
