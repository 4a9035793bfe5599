"""How the commands print: answers on stdout, all else on stderr, and errors without a traceback."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from infra.host.errors import Exit, StackError, file_problem
from infra.stack.state import RunningStack
from infra.supervise.supervisord import Status
from infra.views.banner import source_line

answers = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_FLEXIBLE_WIDTH = 20  # least width of a column whose text may be broken
_BORDER = 3  # characters between two columns
_NO_LIMIT = 1_000  # characters of a line in a file or a pipe

_WORDS = {"BACKOFF": "waits to start again", "FATAL": "given up"}
_STYLES = {"RUNNING": "green", "STARTING": "yellow", "STOPPED": "dim", "STOPPING": "yellow"}


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the command with a message and an exit code where something is wrong with the machine or the settings."""
    try:
        yield
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"][:1]).upper()
            text = f"{name}={problem['input']!s}: {problem['msg'].removeprefix('Value error, ')}"
            errors.print(f"[red]{escape(text)}[/red]")
        raise typer.Exit(Exit.USAGE) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if (meaning := as_stack_error(error)) is None:
            raise
        errors.print(f"[red]{escape(str(meaning))}[/red]")
        raise typer.Exit(meaning.code) from None


def as_stack_error(error: Exception) -> StackError | None:
    """Convert an exception to an error with a message for people; None for a fault of the program."""
    if isinstance(error, StackError):
        return error
    if isinstance(error, SettingsError):
        return StackError(f"{error}: {error.__cause__ or 'it has an odd value'}", Exit.USAGE)
    if isinstance(error, UnicodeDecodeError):
        text = f"A file is no text ({error}): look at .env, and at stack.env and secrets in STOCKS_HOME."
        return StackError(text, Exit.HOME_UNUSABLE)
    if (module := type(error).__module__.partition(".")[0]) == "builtins":
        return file_problem(error) if isinstance(error, OSError) else None
    # The clients take a second to import: only where one of them has failed, and is imported already.
    if module not in ("alembic", "kafka", "psycopg2", "requests", "sqlalchemy"):
        return None
    from infra.cli.server_errors import server_error

    return server_error(error)


def service_table(running: RunningStack, statuses: list[Status]) -> Table:
    """Return a table with a row for each service: name, address, state, process."""
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


def print_fitted(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    optional: Sequence[str],
    *,
    title: str = "",
    styles: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Print a table as wide as the terminal, or as wide as it needs to be where stdout is none.

    Columns with `no_wrap` are never broken. On a narrow terminal the `optional` ones are left out, the first one first.
    `styles` are those of rows, by number.
    """
    names = [str(column.header) for column in columns]
    widths = {
        name: max(cell_len(text) for text in (name, *(row[number] for row in rows)))
        if column.no_wrap
        else _FLEXIBLE_WIDTH
        for number, (name, column) in enumerate(zip(names, columns, strict=True))
    }
    kept = columns_that_fit(widths, optional, answers.width) if answers.is_terminal else names
    table = Table(*(columns[names.index(name)] for name in kept), title=title or None)
    for number, row in enumerate(rows):
        table.add_row(*(escape(row[names.index(name)]) for name in kept), style=styles.get(number))
    target = answers if answers.is_terminal else Console(file=answers.file, highlight=False, width=_NO_LIMIT)
    target.print(table)


def columns_that_fit(widths: Mapping[str, int], optional: Sequence[str], room: int) -> list[str]:
    """Return the names of the columns that fit into `room` characters; `optional` ones are left out until they do."""
    kept = list(widths)
    for name in optional:
        if sum(widths[one] + _BORDER for one in kept) + 1 <= room:
            break
        kept.remove(name)
    return kept


def short_path(path: Path) -> str:
    """Return a path below the working directory as relative to it, and any other path as it is."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)


def print_table(running: RunningStack, found: list[Status], console: Console) -> None:
    """Print the table of services, where the UI and the logs are, and the source of the prices."""
    console.print(service_table(running, found))
    if running.ui:
        console.print(f"Dagster: {running.ui}")
    for folder in {Path(service.log).parent for service in running.services}:
        console.print(f"Logs: {escape(short_path(folder))} (`stocks logs`, `stocks logs kafka -f`)")
    console.print("Prices: `stocks watch`, `stocks chart SYMBOL`")
    console.print(source_line(running.source))


def report(running: RunningStack, statuses: list[Status]) -> list[dict[str, object]]:
    """Return the table of services as JSON, for programs."""
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
