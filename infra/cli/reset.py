"""`stocks reset`: back to an empty home."""

import shutil
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from infra.cli.console import errors, plain_errors, short_path
from infra.host.disk import in_words
from infra.host.errors import Exit, StackError
from infra.host.home import belongings, size_of
from infra.host.progress import Progress
from infra.settings import RunningStackSettings
from infra.stack import state
from infra.stack.platform import wait_for_predecessor
from spark_streaming.contract.process_lock import AlreadyRunningError, ProcessLock, is_locked

_WHAT = {
    "kafka": "all messages, dead letters too",
    "influxdb": "all bars that were stored",
    "postgres": "company facts, coverage, Dagster's history",
    "state": "how far the stream has read",
    "dagster": "logs of Dagster's runs",
    "pictures": "candlesticks of sessions",
    "secrets": "passwords and tokens; new ones are made",
    "logs": "logs of the services",
}


def reset(yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Delete all data of all sources, as if nothing had ever run. What was downloaded or built stays."""
    with plain_errors():
        settings = RunningStackSettings()
        home = settings.stocks_home
        _refuse_while_running(is_locked(state.run_folder(home)))
        if not belongings(home):
            errors.print(f"{escape(str(home))} holds nothing of the stack.")
            return
        _say_what_goes(settings)
        if not yes and not typer.confirm("Delete all of this?", err=True):
            raise typer.Exit(Exit.FAILED)
        try:
            with ProcessLock(state.run_folder(home)), Progress() as progress:
                wait_for_predecessor(settings, progress)
                for path in belongings(home):  # the folder of the lock is the last
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except AlreadyRunningError:
            _refuse_while_running(True)
        if not any(home.iterdir()):
            home.rmdir()
        errors.print("Deleted.")


def _refuse_while_running(runs: bool) -> None:
    if runs:
        raise StackError("The stack runs: `stocks down` first.", Exit.ALREADY_RUNNING)


def _say_what_goes(settings: RunningStackSettings) -> None:
    home = settings.stocks_home
    table = Table(box=None, show_header=False)
    for path in belongings(home):
        if path.name in _WHAT:
            table.add_row(path.name, f"{in_words(size_of(path)):>8}", _WHAT[path.name])
    errors.print(f"In {escape(short_path(home))}, of all sources:")
    errors.print(table)
    if not (home / "influxdb").exists():
        errors.print(f"The buckets in the InfluxDB at {settings.influxdb_url} stay.")
    errors.print(f"Downloads stay in {escape(str(settings.stocks_cache))}.")
