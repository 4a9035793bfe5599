"""How the commands speak: answers on stdout, all else on stderr, and errors without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from infra.host.errors import Exit, StackError, of_the_disk
from infra.stack.state import Running
from infra.supervise.supervisord import Status
from infra.views.banner import source_line

answers = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_WORDS = {"BACKOFF": "waits to start again", "FATAL": "given up"}
_STYLES = {"RUNNING": "green", "STARTING": "yellow", "STOPPED": "dim", "STOPPING": "yellow"}


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the command with a message and an exit code where something is wrong with the machine or the settings."""
    try:
        yield
    except StackError as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(error.code) from None
    except OSError as error:
        if (meant := of_the_disk(error)) is None:
            raise
        errors.print(f"[red]{escape(str(meant))}[/red]")
        raise typer.Exit(meant.code) from None
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"][:1]).upper()
            text = f"{name}={problem['input']!s}: {problem['msg']}"
            errors.print(f"[red]{escape(text)}[/red]")
        raise typer.Exit(Exit.USAGE) from None


def service_table(running: Running, statuses: list[Status]) -> Table:
    """A row a service: name, address, state, process."""
    found = {status.name: status for status in statuses}
    whole = (Column("service", no_wrap=True), Column("address", no_wrap=True))
    table = Table(*whole, "state", Column("pid", justify="right", no_wrap=True))
    for service in running.services:
        status = found.get(service.name)
        state = status.state if status else "STOPPED"
        text = _WORDS.get(state, state.lower())
        if times := running.restarts.get(service.name):
            text += f", died {'once' if times == 1 else f'{times} times'}"
        style = _STYLES.get(state, "red")
        table.add_row(service.name, service.address, f"[{style}]{text}[/{style}]", str((status and status.pid) or ""))
    return table


def short_path(path: Path) -> str:
    """A path as a person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)


def print_table(running: Running, found: list[Status], console: Console) -> None:
    """The table, where the UI and the logs are, and whose prices these are."""
    console.print(service_table(running, found))
    if running.ui:
        console.print(f"Dagster: {running.ui}")
    for folder in {Path(service.log).parent for service in running.services}:
        console.print(f"Logs: {escape(short_path(folder))} (`stocks logs`, `stocks logs kafka -f`)")
    console.print("Prices: `stocks watch`, `stocks chart SYMBOL`")
    console.print(source_line(running.source))


def report(running: Running, statuses: list[Status]) -> list[dict[str, object]]:
    """The table, for programs."""
    states = {status.name: status for status in statuses}
    return [
        {
            "name": service.name,
            "address": service.address,
            "state": states[service.name].state.lower() if service.name in states else "stopped",
            "pid": states[service.name].pid or None if service.name in states else None,
            "deaths": running.restarts.get(service.name, 0),
            "log": service.log,
        }
        for service in running.services
    ]
