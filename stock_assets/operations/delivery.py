"""Delivers the notifications that are due: each address in a separate thread, so that none waits for another."""

import threading
import time
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine

from spark_streaming.contract.schema import Source
from stock_assets.incidents.notifications import Key, Notification, after_attempt, due_notifications
from stock_assets.resources.notifier import NotificationTarget, parse_targets
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.notifications import add_recipient, read_notifications, write_attempts

_SECONDS = 30.0  # of a sensor's tick that deliveries may take: Dagster ends a tick after 60
_STARTING = 2 / 3  # the part of that time in which a delivery may begin; the rest is for those under way


class DeliveryError(RuntimeError):
    """An address did not take a notification; it is retried."""


def deliver_due_notifications(
    engine: Engine, settings: CodeLocationSettings, now: datetime, seconds: float = _SECONDS
) -> int:
    """Deliver the due notifications within `seconds`; return how many are delivered to every address now.

    Each delivery is recorded before the next one to that address begins, so that a kill repeats one at most. What an
    address could not be sent in time stays due.

    Raises:
        DeliveryError: an address did not take one; it is retried after a pause.
    """
    targets = parse_targets(settings.notify_urls.get_secret_value())
    due = due_notifications(read_notifications(engine), now)
    if not due:
        return 0
    deliveries = [_Delivery(engine, target, due, _prefix(settings.source), seconds) for target in targets]
    _run(deliveries, seconds)
    tried = _write_outcome(engine, due, deliveries, now)
    failed = [n for n in tried if n.next_try_at is not None and n.next_try_at > now]
    if failed:
        raise DeliveryError(_describe_failures(failed))
    return sum(notification.delivered_at is not None for notification in tried)


class _Delivery(threading.Thread):
    """Sends one address what it does not have yet, in order."""

    crash: Exception | None = None  # an error of this program, not of the address

    def __init__(
        self, engine: Engine, target: NotificationTarget, due: Sequence[Notification], prefix: str, seconds: float
    ) -> None:
        # A daemon: an address that never finishes its answer must not keep the process from ending.
        super().__init__(name=f"notify {target.fingerprint}", daemon=True)
        self.target = target
        self._engine, self._prefix, self._seconds = engine, prefix, seconds
        self._pending = [notification for notification in due if target.fingerprint not in notification.told]
        self._outcome: dict[Key, str] = {}

    def run(self) -> None:
        """Send and record one after the other; begin none when most of the time is over."""
        last_start = time.monotonic() + self._seconds * _STARTING
        try:
            for notification in self._pending:
                if time.monotonic() > last_start:
                    return
                self._outcome[notification.key] = f"{self.target.shown}: no answer within {self._seconds:.0f} s"
                error = self.target.notify(notification, self._prefix)
                if not error:
                    add_recipient(self._engine, notification, self.target.fingerprint)
                self._outcome[notification.key] = error
        except Exception as error:  # raised again in the caller's thread
            self.crash = error

    def refuse(self) -> None:
        """Don't run: the address still has a delivery under way."""
        error = f"{self.target.shown}: an earlier message is still being sent"
        self._outcome = {notification.key: error for notification in self._pending}

    def errors(self) -> dict[Key, str]:
        """Key of each notification that was tried -> its error, empty where it was delivered."""
        return dict(self._outcome)


def _run(deliveries: Sequence[_Delivery], seconds: float) -> None:
    deadline, busy = time.monotonic() + seconds, {thread.name for thread in threading.enumerate()}
    started = []
    for delivery in deliveries:
        if delivery.name in busy:
            delivery.refuse()
        else:
            delivery.start()
            started.append(delivery)
    for delivery in started:
        delivery.join(max(deadline - time.monotonic(), 0))
        if delivery.crash is not None:
            raise delivery.crash


def _write_outcome(
    engine: Engine, due: Sequence[Notification], deliveries: Sequence[_Delivery], now: datetime
) -> list[Notification]:
    """Record the attempts; returns the notifications as they are afterwards."""
    errors = {delivery.target.fingerprint: delivery.errors() for delivery in deliveries}
    stored = {notification.key: notification for notification in read_notifications(engine)}
    tried = []
    for key in (notification.key for notification in due if notification.key in stored):
        outcome = {address: by_key[key] for address, by_key in errors.items() if key in by_key}
        tried.append(after_attempt(stored[key], outcome, list(errors), now))
    write_attempts(engine, tried)
    return tried


def _prefix(source: Source) -> str:
    """The begin of each title: it keeps other prices from being mistaken for Yahoo's."""
    return "stock-assets: " if source.is_live else f"stock-assets ({source}): "


def _describe_failures(failed: Sequence[Notification]) -> str:
    soonest = min(notification.next_try_at for notification in failed if notification.next_try_at)
    return (
        f"{len(failed)} notifications could not be delivered ({failed[-1].error}); the next attempt is at "
        f"{soonest:%H:%M:%S} UTC. `stocks notify --test` tries the addresses, `stocks notify` lists the pending ones."
    )
