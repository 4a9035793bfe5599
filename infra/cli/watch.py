"""`stocks watch`: the market in a terminal."""

import json
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live

from infra.cli.console import as_stack_error, plain_errors
from spark_streaming.contract.clock import now

if TYPE_CHECKING:
    from infra.views.table import Board
    from stock_assets.settings import CodeLocationSettings


def watch(
    symbols: Annotated[list[str] | None, typer.Argument(help="As AMZN; none: all that are watched.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print it once; the default without a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Once, as JSON on stdout.")] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two updates.")] = 2,
) -> None:
    """Show the last price of each symbol, its change, the day's range and how fresh it is, until q or Ctrl-C.

    Live quotes where there are some, else the newest bar. The change is against the close of the session before. On a
    narrow terminal columns are left out. A replay is shown at the time of its newest bar.
    """
    with plain_errors():
        from infra.views.quote_board import load_board
        from infra.views.table import render_board, row_as_json
        from stock_assets.settings import code_location

        settings = code_location()
        board = load_board(settings, symbols or [], now())
        console = Console(highlight=False)
        if as_json:
            print(
                json.dumps({"source": board.source, "lag": board.lag, "rows": [row_as_json(row) for row in board.rows]})
            )
        elif once or not console.is_terminal:
            if not console.is_terminal:
                console.width = 120  # a file has no width to keep to
            console.print(render_board(board, console.width))
        else:
            _watch(settings, symbols or [], board, console, every)


def _watch(
    settings: "CodeLocationSettings", symbols: list[str], board: "Board", console: Console, every: float
) -> None:
    from infra.views.quote_board import load_board
    from infra.views.table import render_board

    with Live(console=console, screen=True, auto_refresh=False) as live, _keys():
        begin = time.monotonic()
        while True:
            live.update(render_board(board, console.width), refresh=True)
            if _quits_within(max(0.0, begin + every - time.monotonic())):
                return
            begin = time.monotonic()
            try:
                board = load_board(settings, symbols, now())
            except Exception as error:
                if (meaning := as_stack_error(error)) is None:
                    raise
                board = replace(board, problem=str(meaning))  # a server restarts: the last board stays, marked as old


@contextmanager
def _keys() -> Iterator[None]:
    """Read each key at once, without Enter; Ctrl-C ends quietly."""
    kept = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
    try:
        if kept is not None:
            tty.setcbreak(sys.stdin)
        yield
    except KeyboardInterrupt:
        return
    finally:
        if kept is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, kept)


def _quits_within(seconds: float) -> bool:
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return False
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    keys = os.read(sys.stdin.fileno(), 64) if ready else None
    return keys is not None and (keys == b"" or b"q" in keys.lower())  # no byte at all: the terminal was closed
