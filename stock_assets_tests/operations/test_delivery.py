"""Addresses that never answer, and one that does: real HTTP servers, PostgreSQL, and Apprise."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import apprise
import pytest
from sqlalchemy import Engine, text

from infra.settings import StackSettings
from spark_streaming.contract import clock
from stock_assets import settings
from stock_assets.incidents.notifications import Notification, NotificationKind, Severity
from stock_assets.operations.delivery import DeliveryError, deliver_due_notifications
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets.store.notifications import read_notifications, write_notifications
from stock_assets_tests.services.inbox import HangingInbox, Inbox
from stock_assets_tests.services.waiting import until

pytestmark = pytest.mark.services

DELIVER = """
from spark_streaming.contract.clock import now
from stock_assets.operations.delivery import deliver_due_notifications
from stock_assets.settings import code_location
from stock_assets.store.engine import make_engine
deliver_due_notifications(make_engine(code_location().postgres), code_location(), now())
"""
RETRY = timedelta(seconds=41)


@pytest.fixture
def live() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture
def hanging() -> Iterator[list[HangingInbox]]:
    made = [HangingInbox(), HangingInbox()]
    yield made
    for inbox in made:
        inbox.close()


@pytest.fixture
def engine(
    postgres_server: StackSettings, live: Inbox, hanging: list[HangingInbox], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """The table `notice`, empty; NOTIFY_URLS names the live address between two that hang."""
    monkeypatch.setenv("STOCKS_HOME", str(postgres_server.stocks_home))
    monkeypatch.setenv("SOURCE", "replay")
    monkeypatch.setenv("NOTIFY_URLS", f"{hanging[0].url}, {live.url}, {hanging[1].url}")
    settings.code_location.cache_clear()
    apprise.Apprise.instantiate(live.url)  # the first time takes seconds: it imports every service
    upgrade(settings.code_location())
    made = make_engine(settings.code_location().postgres)
    with made.begin() as connection:
        connection.execute(text("TRUNCATE notice"))
    yield made
    made.dispose()
    settings.code_location.cache_clear()


def write(engine: Engine, *subjects: str) -> None:
    now = clock.now()
    write_notifications(
        engine,
        [
            Notification(
                subject, now, NotificationKind.BEGAN, Severity.ERROR, subject, "details", now + timedelta(seconds=n)
            )
            for n, subject in enumerate(subjects)
        ],
    )


def deliver(engine: Engine, seconds: float, later: timedelta = timedelta()) -> int:
    return deliver_due_notifications(engine, settings.code_location(), clock.now() + later, seconds)


def test_addresses_that_hang_take_a_bounded_time_and_the_live_one_has_each_message_once(
    engine: Engine, live: Inbox, hanging: list[HangingInbox]
) -> None:
    write(engine, "first", "second", "third")
    began = time.monotonic()
    with pytest.raises(DeliveryError, match=r"address 1 of NOTIFY_URLS \(json\): no answer within 4 s; address 3"):
        deliver(engine, seconds=4, later=RETRY)
    assert time.monotonic() - began < 7
    titles = [f"stock-assets (replay): {subject}" for subject in ("first", "second", "third")]
    assert live.titles == titles
    first, second, third = read_notifications(engine)
    assert [len(notification.told) for notification in (first, second, third)] == [1, 1, 1]
    assert (first.attempts, second.attempts, third.attempts) == (1, 0, 0)
    assert second.next_try_at is None, "no hanging address was reached with it: it stays due"
    with pytest.raises(DeliveryError, match="an earlier message is still being sent"):
        deliver(engine, seconds=4, later=2 * RETRY)
    assert live.titles == titles
    assert [inbox.requests for inbox in hanging] == [1, 1]


def test_a_message_that_arrives_after_the_time_is_over_is_not_sent_again(
    engine: Engine, live: Inbox, hanging: list[HangingInbox]
) -> None:
    write(engine, "first")
    with pytest.raises(DeliveryError):
        deliver(engine, seconds=4)
    for inbox in hanging:
        inbox.finish()
    until(lambda: len(read_notifications(engine)[0].told) == 3)
    assert deliver(engine, seconds=4, later=RETRY) == 1
    assert [inbox.requests for inbox in hanging] == [1, 1]
    assert len(live.messages) == 1


def test_a_kill_while_addresses_hang_repeats_nothing(engine: Engine, live: Inbox, hanging: list[HangingInbox]) -> None:
    write(engine, "first")
    with subprocess.Popen([sys.executable, "-c", DELIVER]) as process:
        until(lambda: len(live.messages) == 1)
        time.sleep(1)  # the addresses that hang are still being tried
        assert process.poll() is None
        process.kill()
    with pytest.raises(DeliveryError):
        deliver(engine, seconds=4)
    assert len(live.messages) == 1
    assert [inbox.requests for inbox in hanging] == [2, 2]
