"""Sends messages to the addresses of NOTIFY_URLS, through any of Apprise's services."""

import hashlib
import logging
import threading
from dataclasses import dataclass, field

import apprise
from apprise.utils.parse import parse_urls

from stock_assets.incidents.notifications import Notification, NotificationKind, Severity

_KINDS = {Severity.WARNING: apprise.NotifyType.WARNING, Severity.ERROR: apprise.NotifyType.FAILURE}


@dataclass(frozen=True)
class NotificationTarget:
    """One address of NOTIFY_URLS. It holds secrets: people are shown its service and its place in the list."""

    number: int
    url: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Its identifier in the table `notice`."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """For people: `address 2 of NOTIFY_URLS (slack)`."""
        return f"address {self.number} of NOTIFY_URLS ({self.url.partition('://')[0]})"

    def send(self, title: str, text: str, kind: apprise.NotifyType) -> str:
        """Send a message; returns the error, empty where it was delivered.

        A server that doesn't answer is given up after some ten seconds; one that answers too slowly may take for ever.
        """
        service = apprise.Apprise.instantiate(self.url)
        if service is None:
            return f"{self.shown}: Apprise knows no such address; see https://appriseit.com/services/"
        with _WarningsOfThread() as warnings:
            if service.notify(title=title, body=text, notify_type=kind, body_format=apprise.NotifyFormat.TEXT):
                return ""
        return f"{self.shown}: {warnings.text or 'it could not be delivered'}"

    def notify(self, notification: Notification, prefix: str) -> str:
        """Send a notification, its title after `prefix`; returns the error, empty where it was delivered."""
        is_end = notification.kind is NotificationKind.OVER
        kind = apprise.NotifyType.SUCCESS if is_end else _KINDS[notification.severity]
        return self.send(f"{prefix}{notification.title}", notification.text, kind)


def parse_targets(urls: str) -> list[NotificationTarget]:
    """Return the addresses that are named, separated by commas or white space."""
    return [NotificationTarget(number, url) for number, url in enumerate(dict.fromkeys(parse_urls(urls)), start=1)]


class _WarningsOfThread(logging.Handler):
    """What Apprise logs in this thread. Its own LogCapture has the messages of all threads, so of other addresses."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread, self._messages, self._log = threading.get_ident(), list[str](), logging.getLogger("apprise")

    def __enter__(self) -> "_WarningsOfThread":
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message if this thread has logged it."""
        if record.thread == self._thread:
            self._messages.append(record.getMessage())

    @property
    def text(self) -> str:
        """All messages in one line."""
        return " ".join(" ".join(self._messages).split())
