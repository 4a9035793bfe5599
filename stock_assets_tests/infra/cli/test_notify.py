"""`stocks notify --test`, as a person runs it; no server of the platform is needed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from infra.cli.notify import delivery_of
from infra.host.errors import Exit
from infra.host.secrets import NOTIFY_URLS, Secrets
from infra.servers import dagster
from stock_assets.incidents.notifications import Notification, NotificationKind, Severity
from stock_assets.settings import CodeLocationSettings
from stock_assets_tests.infra.terminal import Terminal
from stock_assets_tests.services.fixtures import no_settings_around, open_folder, settings_for
from stock_assets_tests.services.inbox import Inbox

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_each_address_gets_a_message_and_one_that_fails_is_named(terminal: Terminal) -> None:
    inbox = Inbox()
    code, out, _ = terminal.run("notify", "--test", NOTIFY_URLS=inbox.url)
    assert (code, out.strip()) == (0, "address 1 of NOTIFY_URLS (json): delivered")
    assert inbox.titles == ["stock-assets: a test"]
    inbox.answer = 500
    code, out, err = terminal.run("notify", "--test", NOTIFY_URLS=inbox.url)
    assert code == Exit.FAILED
    assert "500" in out
    assert "1 of 1 addresses did not take the message" in err
    inbox.close()


def test_without_an_address_the_remedy_is_reported(terminal: Terminal) -> None:
    code, _, err = terminal.run("notify", "--test", NOTIFY_URLS="")
    assert code == Exit.USAGE
    assert "https://appriseit.com/services/" in err


def test_an_address_of_the_environment_reaches_dagsters_programs_as_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    home = open_folder()
    settings = settings_for(home, notify_urls="json://127.0.0.1:9/a")
    dagster.prepare(settings)
    assert Secrets(home).read(NOTIFY_URLS) == "json://127.0.0.1:9/a"
    assert "NOTIFY_URLS" not in dagster.environment(settings)
    with no_settings_around(home):
        shown = CodeLocationSettings(stocks_home=home)
    assert shown.notify_urls.get_secret_value() == "json://127.0.0.1:9/a"


def test_a_notification_without_an_address_is_not_called_delivered() -> None:
    written = Notification(
        "check", NOON, NotificationKind.BEGAN, Severity.WARNING, "prices_are_plausible warns", "", NOON
    )
    assert delivery_of(written) == "no: not tried yet"
    assert delivery_of(replace(written, error="500")) == "no: 500"
    assert delivery_of(replace(written, delivered_at=NOON)) == "to nobody: NOTIFY_URLS named no address"
    assert delivery_of(replace(written, delivered_at=NOON, told=("json",))) == "2026-11-20 12:00:00Z"
