"""How the commands speak: answers on stdout, all else on stderr, and errors without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from infra.local.errors import Exit, StackError
from infra.local.state import Listed, Running
from infra.local.supervisord import Status
from spark_streaming.contract.schema import Source

answers = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_STYLES = {"RUNNING": "green", "STARTING": "yellow", "STOPPED": "dim", "STOPPING": "yellow"}


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the command with a message and an exit code where something is wrong with the machine or the settings."""
    try:
        yield
    except StackError as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(error.code) from None
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"][:1]).upper()
            text = f"{name}={problem['input']!s}: {problem['msg']}"
            errors.print(f"[red]{escape(text)}[/red]")
        raise typer.Exit(Exit.USAGE) from None


def service_table(services: tuple[Listed, ...], statuses: list[Status]) -> Table:
    """A row a service: name, address, state, log."""
    states = {status.name: status for status in statuses}
    table = Table("service", "address", "state", Column("log", overflow="fold"))
    for service in services:
        state = states[service.name].state if service.name in states else "STOPPED"
        style = _STYLES.get(state, "red")
        table.add_row(service.name, service.address, f"[{style}]{state.lower()}[/{style}]", service.log)
    return table


def source_line(source: str) -> str:
    """What is plainly to be said about prices that are not Yahoo's."""
    return {
        Source.YAHOO: "Source: yahoo.",
        Source.REPLAY: "Source: replay. These are recorded prices, NOT live Yahoo data.",
        Source.SIMULATED: "Source: simulated. These are random prices, NOT live Yahoo data.",
    }[Source(source)]


def print_table(running: Running, found: list[Status], console: Console) -> None:
    """The table, where the UI is, and whose prices these are."""
    console.print(service_table(running.services, found))
    if running.ui:
        console.print(f"Dagster: {running.ui}")
    console.print(source_line(running.source))


def report(services: tuple[Listed, ...], statuses: list[Status]) -> list[dict[str, object]]:
    """The table, for programs."""
    states = {status.name: status for status in statuses}
    return [
        {
            "name": service.name,
            "address": service.address,
            "state": states[service.name].state.lower() if service.name in states else "stopped",
            "pid": states[service.name].pid or None if service.name in states else None,
            "log": service.log,
        }
        for service in services
    ]
