"""Delivers messages to people, through any of Apprise's services."""

import hashlib
import logging
from collections.abc import Sequence
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
        """What it is known by where messages are kept."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """For people: `the 2nd of NOTIFY_URLS (slack)`, say."""
        return f"address {self.number} of NOTIFY_URLS ({self.url.partition('://')[0]})"

    def deliver(self, title: str, text: str, kind: apprise.NotifyType) -> str:
        """Send a message; returns the error, empty where it is there. Takes some ten seconds at most."""
        service = apprise.Apprise.instantiate(self.url)
        if service is None:
            return f"{self.shown}: Apprise knows no such address; see https://appriseit.com/services/"
        with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:
            if service.notify(title=title, body=text, notify_type=kind, body_format=apprise.NotifyFormat.TEXT):
                return ""
            why = " ".join(said.getvalue().split())
        return f"{self.shown}: {why or 'it could not be delivered'}"


def parse_targets(urls: str) -> list[NotificationTarget]:
    """The addresses that are named, separated by commas or white space."""
    return [NotificationTarget(number, url) for number, url in enumerate(dict.fromkeys(parse_urls(urls)), start=1)]


def deliver(notice: Notification, targets: Sequence[NotificationTarget], prefix: str) -> dict[str, str]:
    """Tell everyone who has not been told; returns fingerprint -> error, empty where it went well."""
    kind = apprise.NotifyType.SUCCESS if notice.kind is NotificationKind.OVER else _KINDS[notice.severity]
    left = [target for target in targets if target.fingerprint not in notice.told]
    return {target.fingerprint: target.deliver(f"{prefix}{notice.title}", notice.text, kind) for target in left}
