"""`stocks up`: from nothing to a running platform."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from infra.cli.console import answers, errors, plain_errors, print_table, report
from infra.host import home
from infra.host.errors import Exit, StackError, StoppedError
from infra.host.logs import rotate_large_logs, rotate_log
from infra.host.private_files import private_folder
from infra.host.progress import Progress
from infra.settings import StackSettings
from infra.stack import requirements, state
from infra.supervise.supervisord import Status, statuses
from spark_streaming.contract.process_lock import AlreadyRunningError, ProcessLock, is_locked
from spark_streaming.contract.schema import Source

if TYPE_CHECKING:
    from infra.stack.platform import Platform

_Source = Annotated[Source | None, typer.Option(help="Where bars come from; default: SOURCE, else yahoo.")]
_Detach = Annotated[bool, typer.Option("--detach", "-d", help="Run in the background; return when ready.")]
_Once = Annotated[bool, typer.Option("--once", help="Store all that the source has, run every check, and end.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
_Dagster = Annotated[
    bool, typer.Option("--dagster/--no-dagster", help="Without Dagster, for `dagster dev -w workspace.yaml`.")
]

_InBackground = Annotated[bool, typer.Option("--in-background", hidden=True)]  # what -d starts


_ENDLESS = "--once needs a source that has an end: --source replay, or simulated with --bars"


def _replay(text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=text, rich_help_panel="Replay")
    return option


def _simulated(text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=text, rich_help_panel="Simulation")
    return option


def up(
    source: _Source = None,
    detach: _Detach = False,
    once: _Once = False,
    as_json: _Json = False,
    dagster: _Dagster = True,
    file: Annotated[Path | None, _replay("CSV or Parquet file of bars; default: the bundled daily bars.")] = None,
    symbol: Annotated[str | None, _replay("Symbol of a file without such a column.")] = None,
    columns: Annotated[str | None, _replay("The file's own names: timestamp=Date,open=Open.")] = None,
    timezone: Annotated[str | None, _replay("Time zone of naive timestamps: America/New_York.")] = None,
    interval: Annotated[str | None, _replay("Interval of a file without such a column: 1d, 1m.")] = None,
    skip_invalid: Annotated[bool, _replay("Leave out lines that are no bars, and list them.")] = False,
    bars: Annotated[int | None, _simulated("End after so many bars a symbol.")] = None,
    symbols: Annotated[str | None, _simulated("Symbols, separated by commas; default: STOCKS.")] = None,
    in_background: _InBackground = False,
) -> None:
    """Set up and start everything, and stay in front until Ctrl-C.

    What is missing is downloaded or built once. Started again, it goes on with the data it had.
    """
    started = datetime.now(UTC)
    options: dict[str, object | None] = {
        "REPLAY_FILE": file and file.absolute(),
        "REPLAY_SYMBOL": symbol,
        "REPLAY_COLUMNS": columns,
        "REPLAY_TIMEZONE": timezone,
        "REPLAY_INTERVAL": interval,
        "REPLAY_SKIP_INVALID": skip_invalid or None,
        "SIMULATED_BARS": bars,
    }
    with plain_errors():
        named: dict[str, Any] = {"source": source, "stocks": symbols}
        settings = StackSettings(**{name: value for name, value in named.items() if value is not None})
        _require_compatible_options(settings, options, detach=detach, once=once)
        if detach:
            _up_in_the_background(settings, as_json)
            return
        more = _settings_of_programs() | {name: str(value) for name, value in options.items() if value is not None}
        _check_source(settings, more, once=once)
        code = _up(settings, more | {"STACK_STARTED_AT": started.isoformat()}, once, as_json, dagster, in_background)
    raise typer.Exit(code)


def _require_compatible_options(
    settings: StackSettings, options: dict[str, object | None], *, detach: bool, once: bool
) -> None:
    for name, value in options.items():
        source = Source(name.partition("_")[0].lower())
        if value is not None and source is not settings.source:
            option = name.partition("_")[2].lower().replace("_", "-")
            raise StackError(f"--{option} is for --source {source}, and the source is {settings.source}", Exit.USAGE)
    if detach and once:
        raise StackError("--once ends once all is stored: it can't be combined with -d", Exit.USAGE)
    if once and settings.source is Source.YAHOO:
        raise StackError(_ENDLESS, Exit.USAGE)


def _check_source(settings: StackSettings, more: dict[str, str], *, once: bool) -> None:
    """Check that the source can provide what the options request, before anything is started."""
    from stock_assets.settings import FirstIngestSettings

    configured = {name.lower(): value for name, value in more.items()}
    ingest = FirstIngestSettings.model_validate(
        configured | {"stocks_home": settings.stocks_home, "source": settings.source}
    )
    if once and settings.source is Source.SIMULATED and ingest.simulated_bars is None:
        raise StackError(_ENDLESS, Exit.USAGE)
    if settings.source is Source.REPLAY and ingest.replay_file is None:
        return  # the bundled bars are checked by whoever publishes them
    from stock_assets.sources.base import SourceError
    from stock_assets.sources.factory import check_before_start

    with Progress() as progress, progress.step(f"checking {ingest.replay_file or ', '.join(settings.stocks)}"):
        try:
            left_out = check_before_start(ingest)
        except SourceError as error:
            raise StackError(str(error), Exit.USAGE) from None
        if left_out:
            progress.line(f"{left_out:,} lines of {ingest.replay_file} are no bars and will be left out")


def _settings_of_programs() -> dict[str, str]:
    """The settings of the code location that the caller's environment names; they hold for the running stack."""
    from pydantic import SecretStr

    from stock_assets.settings import CodeLocationSettings, named_settings

    fields = CodeLocationSettings.model_fields.items()
    return named_settings(name for name, field in fields if field.annotation is not SecretStr)


def _up(
    settings: StackSettings, more: dict[str, str], once: bool, as_json: bool, with_dagster: bool, in_background: bool
) -> int:
    # The clients of the servers take a second to import: not for `stocks --help`.
    from infra.cli.first_history import watch_first_history
    from infra.stack.platform import Platform, wait_for_predecessor
    from infra.stack.servers import write_stack_env

    with Progress() as progress:
        found = [f for f in requirements.check_machine(settings, with_dagster=False) if not f.name.startswith("port")]
        requirements.require_all(found)
        for finding in found:
            if finding.doubtful:
                progress.line(f"{finding.name}: {finding.detail}. {finding.remedy}")
        home.claim(settings.stocks_home)  # before anything else is written there
        try:
            lock = ProcessLock(state.run_folder(settings.stocks_home)).__enter__()
        except AlreadyRunningError:
            raise StackError(_already_running(settings.stocks_home), Exit.ALREADY_RUNNING) from None
        platform = None
        try:
            home.claim(settings.stocks_home)  # again: a `stocks reset` may have ended just before the lock was taken
            rotate_large_logs(settings.stocks_home / "logs")
            wait_for_predecessor(settings, progress)
            requirements.require_all(requirements.check_machine(settings, with_dagster=with_dagster))
            write_stack_env(settings, more)
            platform = Platform(settings, progress, with_dagster=with_dagster)
            with platform:
                platform.start(lambda: _migrate(settings))
                if not in_background:
                    _show(platform, as_json=as_json and not once, console=errors if once else answers)
                if once:
                    return platform.run("infra.cli.once", *(["--json"] if as_json else []))
                if settings.source is Source.YAHOO and with_dagster:
                    watch_first_history(platform, settings, progress)
                platform.watch()
            platform.write_state(state.Phase.ENDED)
        except StackError as error:
            if platform is not None:
                stopped = isinstance(error, StoppedError)
                platform.write_state(state.Phase.ENDED if stopped else state.Phase.FAILED, str(error))
                if stopped:
                    return 130
            raise
        finally:
            lock.__exit__(None, None, None)
        return 0


def _already_running(folder: Path) -> str:
    pid = (state.run_folder(folder) / "lock").read_text()
    return f"`stocks up` runs already for {folder}, as process {pid}. `stocks down` stops it."


def _migrate(settings: StackSettings) -> None:
    """Bring the tables of the source, and Dagster's records of an earlier build, up to date."""
    from infra.servers.dagster import folder
    from stock_assets.operations.upgrade import upgrade_home
    from stock_assets.settings import IngestSettings

    upgrade_home(IngestSettings(stocks_home=settings.stocks_home, source=settings.source), folder(settings))


def _show(platform: "Platform", *, as_json: bool, console: Console) -> None:
    running, found = platform.running, platform.statuses()
    if as_json:
        print(json.dumps(_answer(running, found)), flush=True)
    else:
        print_table(running, found, console)
        errors.print("Ctrl-C stops it.")


def _answer(running: state.RunningStack, found: list[Status]) -> dict[str, object]:
    services = report(running, found)
    return {"pid": running.pid, "source": running.source, "ui": running.ui, "services": services}


def _up_in_the_background(settings: StackSettings, as_json: bool) -> None:
    requirements.require_all([requirements.check_home(settings)])
    if is_locked(state.run_folder(settings.stocks_home)):  # before its log is opened again
        raise StackError(_already_running(settings.stocks_home), Exit.ALREADY_RUNNING)
    home.claim(settings.stocks_home)
    log = private_folder(settings.stocks_home / "logs") / "up.log"
    rotate_log(log)
    arguments = [argument for argument in sys.argv[1:] if argument not in ("-d", "--detach", "--json")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.cli.main", *arguments, "--in-background"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        running = _follow(process, settings.stocks_home, log)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    found = statuses(Path(running.socket))
    if as_json:
        print(json.dumps(_answer(running, found)))
    else:
        print_table(running, found, answers)
        errors.print(f"Runs in the background as process {running.pid}; `stocks down` stops it.")


def _follow(process: subprocess.Popen[bytes], folder: Path, log: Path) -> state.RunningStack:
    """Print the output of a `stocks up` in the background until it is ready."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        while True:
            running, code = state.read(folder), process.poll()
            sys.stderr.write(lines.read())
            if code is not None:
                known = Exit(code) if code in set(Exit) else Exit.FAILED
                raise StackError(f"`stocks up` ended while it started (exit code {code}); its log is {log}", known)
            if running and running.pid == process.pid and running.phase is state.Phase.READY:
                return running
            time.sleep(0.2)
