"""The command `stocks`."""

import typer

from infra.cli import (
    bench,
    chart,
    dead_letters,
    doctor,
    export,
    grafana,
    logs,
    notify,
    provision,
    reset,
    status,
    trace,
    up,
    watch,
    watchlist,
)

app = typer.Typer(
    name="stocks",
    help="A market-data platform on this machine: Kafka, Spark, InfluxDB and PostgreSQL, run by Dagster. "
    "State lives in STOCKS_HOME (.stocks), settings come from the environment and from .env.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("status")(status.status)
app.command("down")(status.down)
app.command("logs")(logs.logs)
app.command("doctor")(doctor.doctor)
app.command("reset")(reset.reset)
app.command("watch")(watch.watch)
app.command("chart")(chart.chart)
app.command("export")(export.export)
app.command("trace")(trace.trace)
app.command("notify")(notify.notify)
app.command("bench")(bench.bench)
app.add_typer(dead_letters.app)
app.add_typer(watchlist.app, name="watchlist")
app.add_typer(grafana.app, name="grafana")
app.add_typer(provision.app, name="provision")

if __name__ == "__main__":
    app()
