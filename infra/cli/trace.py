"""`stocks trace`: where a bar is, from the source's answer to the database."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from infra.cli.console import answers, errors, plain_errors, print_fitted
from infra.host.errors import Exit, StackError
from infra.settings import RunningStackSettings
from infra.stack import state

if TYPE_CHECKING:
    from stock_assets.pipeline.tracing import TracedMessage


def trace(
    symbol: Annotated[str, typer.Argument(help="As AAPL.")],
    when: Annotated[
        str, typer.Argument(help="A day at its exchange, 2013-03-01, or a bar's start, 2013-03-01T14:30:00Z.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show where a bar is: what the source answered, where it was published, stored or dead-lettered and why.

    The platform has to run. Reads the whole topic: some seconds for each million messages.
    """
    with plain_errors():
        home = RunningStackSettings().stocks_home
        if not state.is_up(home):
            raise StackError(f"nothing runs for {home}: start it with `stocks up`, and try again", Exit.FAILED)
        _trace(symbol, when, as_json)


def _print_messages(found: "Sequence[TracedMessage]", topic: str) -> None:
    times = ("bar", "interval", "published at", "sent")
    columns = [*(Column(name, no_wrap=True) for name in times), Column("what became of it", overflow="fold")]
    rows = [
        [
            f"{row.start:%Y-%m-%d %H:%M:%SZ}",
            row.interval,
            f"partition {row.partition}, offset {row.offset}",
            f"{row.sent_at:%Y-%m-%d %H:%M:%SZ}" if row.sent_at else "",
            row.fate,
        ]
        for row in found
    ]
    lost = {number for number, row in enumerate(found) if row.is_lost}
    print_fitted(columns, rows, ("sent", "interval"), title=topic, styles=dict.fromkeys(lost, "red"))


def _trace(symbol: str, when: str, as_json: bool) -> None:
    # Dagster's resources take two seconds to import: not for `stocks --help`.
    from spark_streaming.contract.heartbeat import read_heartbeat
    from stock_assets.pipeline.tracing import describe_coverage, trace_messages, trace_range
    from stock_assets.resources.influxdb import InfluxDBResource
    from stock_assets.resources.kafka import KafkaResource
    from stock_assets.resources.postgres import PostgresResource
    from stock_assets.settings import code_location
    from stock_assets.store.coverage import read_coverage

    settings = code_location()
    try:
        span = trace_range(symbol, when)
    except ValueError as error:
        raise StackError(str(error), Exit.USAGE) from None
    coverage = [row for row in read_coverage(PostgresResource.from_settings(settings).engine) if row.symbol == symbol]
    kafka, heartbeat = KafkaResource.from_settings(settings), read_heartbeat(settings.state_of("stream"))
    with errors.status(f"reading {settings.names.topic}"):
        found = trace_messages(
            symbol,
            span,
            kafka.messages(settings.names.topic),
            kafka.messages(settings.names.dead_letter_topic),
            InfluxDBResource.from_settings(settings).points(symbol, span.begin, span.end),
            heartbeat.offsets if heartbeat else {},
        )
    described = describe_coverage(coverage, span)
    if as_json:
        rows = [
            {
                "start": f"{row.start:%Y-%m-%dT%H:%M:%SZ}",
                "interval": row.interval,
                "partition": row.partition,
                "offset": row.offset,
                "sent_at": row.sent_at.isoformat() if row.sent_at else None,
                "fate": row.fate,
            }
            for row in found
        ]
        print(json.dumps({"symbol": symbol, "source": settings.source, "answers": described, "messages": rows}))
    else:
        for line in described:
            answers.print(f"{symbol}, {line}", markup=False)
        if found:
            _print_messages(found, settings.names.topic)
        else:
            answers.print(
                f"No message about {symbol} of {when} was ever published to {settings.names.topic}.", markup=False
            )
    raise typer.Exit(1 if any(row.is_lost for row in found) else 0)
