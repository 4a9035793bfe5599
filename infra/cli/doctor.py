"""`stocks doctor`: what this machine lacks, and how to install it."""

import typer
from rich.markup import escape
from rich.table import Column, Table

from infra.cli.console import errors, plain_errors
from infra.settings import StackSettings
from infra.stack import requirements, state
from spark_streaming.contract.process_lock import is_locked


def doctor() -> None:
    """Check the machine; exit code 0 only if it has all that `stocks up` needs."""
    with plain_errors():
        settings = StackSettings()
        found = requirements.check_machine(settings)
        if is_locked(state.run_folder(settings.stocks_home)):  # its own ports are taken, as they should be
            found = [finding for finding in found if not finding.name.startswith("port")]
    table = Table("what", "", Column("found", overflow="fold"), "what to do")
    for finding in found:
        good = "[yellow]doubtful[/yellow]" if finding.doubtful else "[green]ok[/green]"
        status = good if finding.ok else "[red]missing[/red]"
        table.add_row(finding.name, status, escape(finding.detail), escape(finding.remedy))
    errors.print(table)
    missing = [finding for finding in found if not finding.ok]
    raise typer.Exit(missing[0].code if missing else 0)
