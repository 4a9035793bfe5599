"""`stocks reset`: deletes all data of a home."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from infra.cli.console import errors, plain_errors, short_path
from infra.host.disk import format_size
from infra.host.errors import Exit, StackError
from infra.host.home import MARKER, is_marked, size_of, stack_entries
from infra.host.progress import Progress
from infra.settings import RunningStackSettings
from infra.stack import state
from infra.stack.activity import is_running, running_parts
from spark_streaming.contract.process_lock import AlreadyRunningError, ProcessLock

_WHAT = {
    "kafka": "all messages, dead letters too",
    "influxdb": "all bars that were stored",
    "postgres": "company facts, coverage, Dagster's history",
    "state": "how far the stream has read",
    "dagster": "logs of Dagster's runs",
    "grafana": "what Grafana's container reads",
    "pictures": "candlesticks of sessions",
    "secrets": "passwords and tokens; new ones are made",
    "logs": "logs of the services",
    "stack.env": "settings of the last run",
    "version": "layout of this folder",
    "run": "lock and process numbers of the last run",
    MARKER: "marks this folder as the stack's",
}


def reset(yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Delete all data of all sources, as if nothing had ever run. What was downloaded or built stays.

    It deletes nothing from a folder that `stocks up` has not marked as its own, and nothing while the stack runs.
    """
    with plain_errors():
        settings = RunningStackSettings()
        home = settings.stocks_home
        if not stack_entries(home):
            errors.print(f"{escape(str(home))} holds nothing of the stack.")
            return
        if not is_marked(home):
            raise StackError(
                f"{home} has no file {MARKER}, so it may be another program's: nothing is deleted. A start by "
                "`stocks up` marks a home of an earlier version; any other folder is yours to delete.",
                Exit.HOME_UNUSABLE,
            )
        _refuse_while_running(home)
        _list_what_goes(settings)
        if not yes and not typer.confirm("Delete all of this?", err=True):
            raise typer.Exit(Exit.FAILED)
        try:
            from infra.stack.platform import wait_for_predecessor

            with ProcessLock(state.run_folder(home)), Progress() as progress:
                wait_for_predecessor(settings, progress)
                _refuse_while_servers_run(home)
                for path in stack_entries(home):  # the folder of the lock and the marker are the last
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except AlreadyRunningError:
            raise StackError("The stack runs: `stocks down` first.", Exit.ALREADY_RUNNING) from None
        if not any(home.iterdir()):
            home.rmdir()
        errors.print("Deleted.")


def _refuse_while_running(home: Path) -> None:
    if is_running(home):
        raise StackError("The stack runs: `stocks down` first.", Exit.ALREADY_RUNNING)


def _refuse_while_servers_run(home: Path) -> None:
    if parts := running_parts(home):
        raise StackError(
            f"Programs of this home still run, so nothing was deleted: {', '.join(parts)}. End them first.",
            Exit.ALREADY_RUNNING,
        )


def _list_what_goes(settings: RunningStackSettings) -> None:
    home = settings.stocks_home
    table = Table(Column(overflow="fold"), Column(justify="right"), Column(), box=None, show_header=False)
    for path in stack_entries(home):
        table.add_row(escape(path.name), format_size(size_of(path)), _WHAT.get(path.name, "an interrupted set-up"))
    errors.print(f"In {escape(short_path(home))}, of all sources:")
    errors.print(table)
    if not (home / "influxdb").exists():
        errors.print(f"The buckets in the InfluxDB at {settings.influxdb_url} stay.")
    errors.print(f"Downloads stay in {escape(str(settings.stocks_cache))}.")
