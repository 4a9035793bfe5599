"""`stocks logs`: the logs of the services and programs."""

import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.console import plain_errors
from infra.host.errors import Exit, StackError
from infra.host.logs import Tail, find_logs
from infra.settings import RunningStackSettings

# CSI sequences (colours, cursor), OSC sequences (titles, links), and the other escapes of two characters.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

_Service = Annotated[
    str | None, typer.Argument(help="One of them: kafka, influxdb, postgres, producer, stream, …; default: all.")
]
_Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with the lines that are added, until Ctrl-C.")]
_Lines = Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines of each.")]


def logs(service: _Service = None, follow: _Follow = False, lines: _Lines = 20) -> None:
    """Show the ends of the logs: of one service, or of all."""
    with plain_errors(), suppress(KeyboardInterrupt):
        settings = RunningStackSettings()
        tails: dict[str, Tail] = {}
        while True:
            there = _chosen(find_logs(settings.stocks_home, settings.state_of("")), service, settings.stocks_home)
            for name, path in there.items():
                prefix = "" if service else f"{name:<{max(map(len, there))}} | "
                _pass_on(tails.setdefault(name, Tail(lines)), path, prefix)
            if not follow:
                return
            time.sleep(0.3)


def _chosen(logs: dict[str, Path], service: str | None, home: Path) -> dict[str, Path]:
    if not logs:
        raise StackError(f"{home} has no logs: nothing has run there yet.")
    if service is None:
        return logs
    if service not in logs:
        raise StackError(f"{service} has no log in {home}; there are {', '.join(logs)}.", Exit.USAGE)
    return {service: logs[service]}


def without_colours(line: str) -> str:
    """Return the line without the control sequences with which programs colour their terminal (ECMA-48)."""
    return _SEQUENCE.sub("", line)


def _pass_on(tail: Tail, path: Path, prefix: str) -> None:
    colours = sys.stdout.isatty()
    with suppress(FileNotFoundError):  # deleted meanwhile
        for line in tail.read(path):
            sys.stdout.write(f"{prefix}{line if colours else without_colours(line)}\n")
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # as `| head` closes it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python reports it again when it exits
        raise typer.Exit(0) from None
