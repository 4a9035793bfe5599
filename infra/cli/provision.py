"""`stocks provision`: what containers need before they start, made by the same code as `stocks up` uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.console import errors, plain_errors
from infra.host import home, secrets
from infra.host.errors import Exit, StackError
from infra.host.progress import Progress
from infra.host.secrets import Secrets
from infra.settings import ProvidedServersSettings, StackSettings
from infra.stack import state

app = typer.Typer(
    help="Prepare servers that others run, as infra/compose.yaml does. `stocks up` needs none of it.",
    no_args_is_help=True,
)


@app.command()
def jars() -> None:
    """Download the jars of Spark's Kafka connector into STOCKS_CACHE: a step of the image."""
    with plain_errors(), Progress() as progress:
        from infra.servers.jars import CONNECTOR, resolve

        errors.print(str(resolve(CONNECTOR, StackSettings().stocks_cache, progress)), markup=False)


@app.command("secrets")
def make_secrets(
    postgres: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, help="Folder for the secret that PostgreSQL's container reads."),
    ],
) -> None:
    """Make the secrets with which servers start; those that are there stay as they are."""
    with plain_errors():
        settings = ProvidedServersSettings()
        _claim(settings)
        keep = Secrets(settings.stocks_home)
        keep.get_or_create(secrets.POSTGRES_SUPERUSER_PASSWORD)
        keep.copy_to(secrets.POSTGRES_SUPERUSER_PASSWORD, postgres)
        errors.print(f"Secrets are in {settings.stocks_home / 'secrets'}.", markup=False)


@app.command()
def servers(
    grafana: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder for what Grafana's container reads."),
    ] = None,
) -> None:
    """Make topics, buckets, tokens, roles and tables, and Dagster's configuration. What is there stays as it is."""
    with plain_errors(), Progress() as progress:
        from infra.servers import influxdb, kafka
        from infra.servers import postgres as database
        from infra.servers.dagster import prepare
        from infra.stack.servers import write_stack_env

        settings = ProvidedServersSettings()
        _claim(settings)
        write_stack_env(settings, {"STACK_STARTED_AT": datetime.now(UTC).isoformat()})
        with progress.step(f"topics at {settings.kafka_address}"), _reaching("Kafka", settings.kafka_address):
            kafka.create_topics(settings, settings.names)
        url = settings.effective_influxdb_url
        with progress.step(f"bucket and tokens at {url}"), _reaching("InfluxDB", url):
            influxdb.set_up(settings)
            influxdb.provision(ProvidedServersSettings(), settings.source)  # with the token that is there now
        address = "{}:{}".format(*settings.postgres_address)
        with progress.step(f"roles and tables at {address}"), _reaching("PostgreSQL", address):
            database.provision(settings, settings.names)
            prepare(settings)
            _migrate(settings)
        if grafana is not None:
            _write_grafana_files(grafana)
        state.mark_provisioned(settings.stocks_home)
        errors.print(f"Kafka, InfluxDB and PostgreSQL are ready for {settings.source}.", markup=False)


def _claim(settings: ProvidedServersSettings) -> None:
    if problem := home.layout_problem(settings.stocks_home):
        raise StackError(problem, Exit.OTHER_VERSION)
    if problem := home.ownership_problem(settings.stocks_home):
        raise StackError(f"{problem}. Set STOCKS_HOME to a new or empty folder.", Exit.HOME_UNUSABLE)
    home.claim(settings.stocks_home)


def _migrate(settings: ProvidedServersSettings) -> None:
    from infra.servers.dagster import folder
    from stock_assets.operations.upgrade import upgrade_home
    from stock_assets.settings import IngestSettings

    upgrade_home(IngestSettings(stocks_home=settings.stocks_home, source=settings.source), folder(settings))


def _write_grafana_files(folder: Path) -> None:
    from infra.grafana.values import write_container_files

    write_container_files(ProvidedServersSettings(), folder)


@contextmanager
def _reaching(what: str, address: str) -> Iterator[None]:
    """Report which server doesn't answer, and which setting has its address."""
    import psycopg2
    import requests
    from kafka.errors import KafkaError
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except (KafkaError, requests.RequestException, psycopg2.OperationalError, OperationalError) as error:
        setting = {"Kafka": "KAFKA_BOOTSTRAP_SERVERS", "InfluxDB": "INFLUXDB_URL"}.get(what, "POSTGRES_HOST")
        raise StackError(
            f"{what} at {address} can't be used ({setting} names it): {error}", Exit.SERVICE_FAILED
        ) from None
