"""`stocks notify`: lists the notifications, and tries the addresses that get them."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from infra.cli.console import answers, errors, plain_errors
from infra.host.errors import Exit, StackError
from infra.settings import RunningStackSettings
from infra.stack import state

if TYPE_CHECKING:
    from stock_assets.incidents.notifications import Notification

_NO_ADDRESS = (
    "NOTIFY_URLS names no address. It takes addresses of any of Apprise's services, separated by commas: "
    "https://appriseit.com/services/"
)


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a message to each address of NOTIFY_URLS, now.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """List the notifications, delivered or not; with --test, try the addresses of NOTIFY_URLS."""
    with plain_errors():
        if test:
            _test()
        else:
            _list(as_json)


def _test() -> None:
    import apprise

    from stock_assets.resources.notifier import parse_targets
    from stock_assets.settings import CodeLocationSettings

    settings = CodeLocationSettings()
    targets = parse_targets(settings.notify_urls.get_secret_value())
    if not targets:
        raise StackError(_NO_ADDRESS, Exit.USAGE)
    failed = []
    for target in targets:
        text = f"This is a test: incidents of stock-assets are notified like this.\n{settings.dagster_address}"
        error = target.send("stock-assets: a test", text, apprise.NotifyType.INFO)
        answers.print(error or f"{target.shown}: delivered", markup=False)
        failed += [error] if error else []
    if failed:
        raise StackError(f"{len(failed)} of {len(targets)} addresses did not take the message", Exit.FAILED)


def _list(as_json: bool) -> None:
    home = RunningStackSettings().stocks_home
    if not state.is_up(home):
        raise StackError(f"nothing runs for {home}: start it with `stocks up`, and try again", Exit.FAILED)
    from stock_assets.resources.notifier import parse_targets
    from stock_assets.settings import CodeLocationSettings
    from stock_assets.store.engine import make_engine
    from stock_assets.store.notifications import read_notifications

    settings = CodeLocationSettings()
    notifications = read_notifications(make_engine(settings.postgres))
    if as_json:
        print(json.dumps([asdict(notification) for notification in notifications], default=str))
        return
    if not parse_targets(settings.notify_urls.get_secret_value()):
        errors.print(_NO_ADDRESS)
    table = Table("written", "message", "delivered")
    for notification in notifications:
        written_at = f"{notification.written_at:%Y-%m-%d %H:%M:%S}Z"
        table.add_row(written_at, notification.title, delivery_of(notification))
    answers.print(table if notifications else "There are no notifications yet.")


def delivery_of(notification: "Notification") -> str:
    """Return when a notification was delivered, or why it was not, for people."""
    if notification.delivered_at is None:
        return f"no: {notification.error or 'not tried yet'}"
    if not notification.told:
        return "to nobody: NOTIFY_URLS named no address"
    return f"{notification.delivered_at:%Y-%m-%d %H:%M:%S}Z"
