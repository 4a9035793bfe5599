"""`stocks notify`: whom the platform tells what goes wrong, and what it has told."""

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

_NOBODY = (
    "NOTIFY_URLS names nobody to tell. It takes addresses of any of Apprise's services, separated by commas: "
    "https://appriseit.com/services/"
)


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a message to each address of NOTIFY_URLS, now.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON on stdout.")] = False,
) -> None:
    """List what people were told and what is still to be delivered; with --test, try the addresses."""
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
        raise StackError(_NOBODY, Exit.USAGE)
    failed = []
    for target in targets:
        text = f"This is how stock-assets tells what goes wrong.\n{settings.dagster_address}"
        error = target.send("stock-assets: a test", text, apprise.NotifyType.INFO)
        answers.print(error or f"{target.shown}: delivered", markup=False)
        failed += [error] if error else []
    if failed:
        raise StackError(f"{len(failed)} of {len(targets)} addresses could not be told", Exit.FAILED)


def _list(as_json: bool) -> None:
    home = RunningStackSettings().stocks_home
    if not state.is_up(home):
        raise StackError(f"nothing runs for {home}: start it with `stocks up`, and try again", Exit.FAILED)
    from stock_assets.resources.notifier import parse_targets
    from stock_assets.settings import CodeLocationSettings
    from stock_assets.store.engine import make_engine
    from stock_assets.store.notifications import read_notifications

    settings = CodeLocationSettings()
    notices = read_notifications(make_engine(settings.postgres))
    if as_json:
        print(json.dumps([asdict(notice) for notice in notices], default=str))
        return
    if not parse_targets(settings.notify_urls.get_secret_value()):
        errors.print(_NOBODY)
    table = Table("written", "message", "delivered")
    for notice in notices:
        table.add_row(f"{notice.written_at:%Y-%m-%d %H:%M:%S}Z", notice.title, delivery_of(notice))
    answers.print(table if notices else "Nothing has gone wrong yet.")


def delivery_of(notice: "Notification") -> str:
    """When a message was delivered, or why it wasn't, for people."""
    if notice.delivered_at is None:
        return f"no: {notice.error or 'not tried yet'}"
    if not notice.told:
        return "to nobody: NOTIFY_URLS named none"
    return f"{notice.delivered_at:%Y-%m-%d %H:%M:%S}Z"
