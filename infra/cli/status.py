"""`stocks status` and `stocks down`: shows and stops the running platform from another terminal."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer

from infra.cli.console import answers, errors, plain_errors, print_table, report
from infra.host.errors import Exit, StackError
from infra.host.progress import Progress
from infra.settings import RunningStackSettings
from infra.stack import state
from infra.stack.activity import is_running
from infra.supervise.supervisor import end_processes
from infra.supervise.supervisord import Status, statuses
from spark_streaming.contract.heartbeat import read_heartbeat
from spark_streaming.contract.process_lock import is_locked

_PATIENCE_SECONDS = 180  # above what the servers may take one after the other


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show the state of the services; exit code 0 only if all run."""
    with plain_errors():
        settings = RunningStackSettings()
        home = settings.stocks_home
        running = state.read(home) if is_running(home) else None
        found = _statuses(running)
    healthy = running is not None and running.phase is state.Phase.READY
    healthy = healthy and all(status.state == "RUNNING" for status in found)
    if as_json:
        answer: dict[str, object] = {"running": running is not None, "healthy": healthy, "home": str(home)}
        if running:
            answer |= {"pid": running.pid, "phase": running.phase, "source": running.source, "ui": running.ui}
            answer["services"] = report(running, found)
            answer["quotes"] = quotes_of(settings)
        print(json.dumps(answer))
    elif running:
        print_table(running, found, answers)
        for program, detail in quotes_of(settings).items():
            answers.print(f"Quotes, {program}: {detail}", markup=False)
        answers.print(f"{running.phase.capitalize()}, as process {running.pid}.")
    else:
        errors.print(f"Nothing runs for {home}. `stocks up` starts it.")
    raise typer.Exit(0 if healthy else 1)


def down() -> None:
    """Stop all that `stocks up` started, and return when it has ended."""
    with plain_errors():
        home = RunningStackSettings().stocks_home
        running = state.read(home)
        if running is None or not is_running(home):
            errors.print(f"Nothing runs for {home}.")
            return
        process = psutil.Process(running.pid)
        below = process.children(recursive=True)
        os.kill(running.pid, signal.SIGTERM)
        end = time.monotonic() + _PATIENCE_SECONDS
        with Progress() as progress, progress.step("stopping"):
            while is_running(home):
                if time.monotonic() > end:
                    raise StackError(
                        f"process {running.pid} did not end within {_PATIENCE_SECONDS} s. `kill -9 {running.pid}` "
                        "ends it, and the servers with it.",
                        Exit.SERVICE_FAILED,
                    )
                time.sleep(0.1)
            psutil.wait_procs([process], timeout=10)  # it releases the lock shortly before it ends
            end_processes(below)
        errors.print("Stopped.")


def quotes_of(settings: RunningStackSettings) -> dict[str, str]:
    """Return what each running program with quotes reports of them."""
    details = {}
    for program in ("ingest", "stream"):
        folder = settings.state_of(program)
        heartbeat = read_heartbeat(folder) if is_locked(folder) else None
        if heartbeat is not None and heartbeat.quotes is not None:
            details[program] = heartbeat.quotes.detail
    return details


def _statuses(running: state.RunningStack | None) -> list[Status]:
    if running is None or not running.socket:
        return []
    try:
        return statuses(Path(running.socket))
    except OSError:  # it is ending
        return []
