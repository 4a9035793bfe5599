"""`python -m infra.cli.once`: wait until every bar of the source is stored, then account for all and run every check.

`stocks up --once` runs it as a separate process, in the environment of Dagster's processes.
"""

import json
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import dagster as dg
import typer
from kafka.errors import KafkaError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import OperationalError

from spark_streaming.contract.heartbeat import Heartbeat, ProgramState, read_heartbeat
from spark_streaming.contract.process_lock import is_locked
from stock_assets.evaluations.accounting import read_accounts
from stock_assets.evaluations.stream_lag import message_lag
from stock_assets.pipeline.accounting import Account
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import CodeLocationSettings, code_location
from stock_assets.sources.base import BarSource
from stock_assets.sources.factory import make_source
from stock_assets.store.companies import read_companies
from stock_assets.store.coverage import read_coverage
from stock_assets.store.engine import make_engine

_POLL_SECONDS = 0.5
_STALLED_SECONDS = 300  # Spark's start takes 40 s on two cores
_SETTLE_SECONDS = 30  # the sensor ends the stream at its next tick, ten seconds away at most
_ATTEMPTS = 3  # of a program, after which its error is final

_ACTIVE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)

errors = Console(stderr=True)


class UnfinishedError(Exception):
    """The bars of the source can't all be published and stored; the message has the reason."""


@dataclass(frozen=True)
class CheckOutcome:
    """The result of an asset check."""

    name: str
    passed: bool
    severity: str
    summary: str

    @property
    def is_bad(self) -> bool:
        """Whether it fails the command: a check of severity ERROR that did not pass."""
        return not self.passed and self.severity == dg.AssetCheckSeverity.ERROR.value


def main(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Wait, account and run the checks; exit code 0 only where every message is accounted for and no check failed."""
    settings = code_location()
    kafka, influxdb = KafkaResource.from_settings(settings), InfluxDBResource.from_settings(settings)
    try:
        _wait(settings, kafka)
    except UnfinishedError as error:
        errors.print(f"[red]{error}[/red]", highlight=False)
        raise typer.Exit(1) from None
    report = read_accounts(settings, kafka, influxdb)
    accounts = report.accounts
    _wait_for_runs()  # Dagster shows a check as not evaluated if its asset was materialized later
    outcomes = _evaluate_checks()
    _wait_for_runs()
    seconds = (datetime.now(UTC) - settings.stack_started_at).total_seconds()
    if as_json:
        sys.stdout.write(json.dumps(_report(accounts, outcomes, seconds), indent=2) + "\n")
    else:
        _show(settings, accounts, outcomes, seconds)
    balanced = bool(accounts) and not report.unstored and all(account.missing == 0 for account in accounts)
    raise typer.Exit(0 if balanced and not any(outcome.is_bad for outcome in outcomes) else 1)


def _wait(settings: CodeLocationSettings, kafka: KafkaResource) -> None:
    """Return once all is published, stored and the companies are known.

    Raises:
        UnfinishedError: a program has failed again and again, or nothing has moved for minutes.
    """
    source = make_source(settings)
    failures: dict[str, set[datetime]] = {"ingest": set(), "stream": set()}
    moved, before = time.monotonic(), ""
    with errors.status("waiting for the first run") as status:
        while True:
            try:
                now = _describe_state(settings, source, kafka, failures)
            except (KafkaError, OperationalError) as error:  # a server restarts, or the machine slept
                now = f"a server does not answer: {type(error).__name__}"
            if now is None:
                return
            status.update(now)
            if now != before:
                moved, before = time.monotonic(), now
                if not errors.is_terminal:
                    errors.print(now, highlight=False)
            if time.monotonic() - moved > _STALLED_SECONDS:
                raise UnfinishedError(
                    f"nothing has moved for {_STALLED_SECONDS} s ({now}); see the runs in Dagster's UI, and "
                    f"{settings.stocks_home / 'logs'}"
                )
            time.sleep(_POLL_SECONDS)


def _describe_state(
    settings: CodeLocationSettings, source: BarSource, kafka: KafkaResource, failures: dict[str, set[datetime]]
) -> str | None:
    """The progress in words; None once every bar is published and stored and every company is known."""
    engine = make_engine(settings.postgres)
    producing = source.is_due(read_coverage(engine), datetime.now(UTC)) or is_locked(settings.state_of("ingest"))
    lag = message_lag(settings, kafka)
    known = {row["symbol"] for row in read_companies(engine)}.issuperset(source.symbols)
    if not producing and lag == 0 and known:
        return None
    for name in failures:
        _count_failure(settings, name, read_heartbeat(settings.state_of(name)), failures[name])
    published = sum(kafka.end_offsets(settings.names.topic).values())
    return _progress_text(published, lag, producing, known)


def _progress_text(published: int, lag: int, producing: bool, known: bool) -> str:
    bars = f"{published:,} bars published, {lag:,} of them not in InfluxDB yet" if published else "no bar published yet"
    return bars if producing or known else f"{bars}, company facts are not fetched yet"


def _count_failure(
    settings: CodeLocationSettings, name: str, heartbeat: Heartbeat | None, failures: set[datetime]
) -> None:
    if (
        heartbeat is None
        or heartbeat.state is not ProgramState.FAILED
        or heartbeat.started_at < settings.stack_started_at
    ):
        return
    failures.add(heartbeat.started_at)
    if len(failures) >= _ATTEMPTS:
        raise UnfinishedError(f"{name} has failed {len(failures)} times: {heartbeat.detail}")


def _evaluate_checks() -> list[CheckOutcome]:
    """Run every asset check on the stack's own Dagster instance, so that its UI shows the results too."""
    warnings.simplefilter("ignore", dg.BetaWarning)  # for the authors of the definitions, not for users
    from stock_assets.definitions import definitions

    loaded = definitions()
    job = loaded.resolve_job_def("evaluate_all_checks")
    with dg.DagsterInstance.get() as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        result = job.execute_in_process(instance=instance, run_config=quiet, raise_on_error=False)
        evaluated = {
            evaluation.check_name: CheckOutcome(
                evaluation.check_name, evaluation.passed, evaluation.severity.value, evaluation.description or ""
            )
            for evaluation in result.get_asset_check_evaluations()
        }
    names = sorted(key.name for key in job.asset_layer.asset_graph.asset_check_keys)
    return [
        evaluated.get(name) or CheckOutcome(name, False, "ERROR", "it could not be evaluated; see its run")
        for name in names
    ]


def _wait_for_runs() -> None:
    """Wait for active runs to end, within a limit, so that Dagster's history shows them as successful."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    with dg.DagsterInstance.get() as instance, errors.status("waiting for the last runs to end"):
        while time.monotonic() < deadline and instance.get_runs_count(dg.RunsFilter(statuses=list(_ACTIVE))):
            time.sleep(_POLL_SECONDS)


def _report(accounts: Sequence[Account], outcomes: Sequence[CheckOutcome], seconds: float) -> dict[str, object]:
    return {
        "symbols": [
            {
                "symbol": account.symbol,
                "published": account.published,
                "superseded": account.superseded,
                "stored": account.stored,
                "dead_lettered": account.dead_lettered,
                "oldest": _text(account.oldest),
                "newest": _text(account.newest),
            }
            for account in accounts
        ],
        "checks": [vars(outcome) for outcome in outcomes],
        "seconds": round(seconds, 1),
    }


def _show(
    settings: CodeLocationSettings, accounts: Sequence[Account], outcomes: Sequence[CheckOutcome], seconds: float
) -> None:
    live = "" if settings.source.is_live else f" ({settings.source}: not live Yahoo data)"
    accounts_table = Table(box=SIMPLE, title=f"Bars in {settings.names.bucket}{live}", title_justify="left")
    for column in ("symbol", "published", "superseded", "stored", "dead letters", "oldest", "newest"):
        numeric = column not in ("symbol", "oldest", "newest")
        accounts_table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for a in accounts:
        numbers = (a.published, a.superseded, a.stored, a.dead_lettered)
        texts = [f"{number:,}" for number in numbers]
        style = "" if a.missing == 0 else "red"
        accounts_table.add_row(a.symbol, *texts, _short(a.oldest), _short(a.newest), style=style)
    checks_table = Table(box=SIMPLE, title="Checks", title_justify="left")
    for column in ("check", "result", "summary"):
        checks_table.add_column(column)
    for outcome in outcomes:
        shown, style = (
            ("passed", "green") if outcome.passed else (outcome.severity, "red" if outcome.is_bad else "yellow")
        )
        checks_table.add_row(outcome.name, f"[{style}]{shown}[/{style}]", outcome.summary)
    console = Console()
    if not console.is_terminal:
        console.width = 120  # a file has no width to keep to
    console.print(accounts_table)
    console.print(checks_table)
    console.print(f"{seconds:.1f} s", highlight=False)


def _short(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else ""


def _text(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


if __name__ == "__main__":
    typer.run(main)
