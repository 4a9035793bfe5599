"""`stocks bench`: how fast the stream is on this machine, compared with the database's limit and with other writers."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from infra.cli.console import answers, plain_errors
from infra.host.progress import Progress

if TYPE_CHECKING:
    from infra.bench.environment import BenchEnvironment

_QUOTES = 100_000
_CONCURRENCY = 8  # requests that the producer has under way, while ingest is measured


def bench(
    latency: Annotated[bool, typer.Option("--latency", help="From append in Kafka to queryable, instead.")] = False,
    soak: Annotated[bool, typer.Option("--soak", help="A backlog, and bars that go on coming, instead.")] = False,
    grafana: Annotated[
        bool, typer.Option("--grafana", help="The dashboards' queries on a year of bars, instead.")
    ] = False,
    ingest: Annotated[bool, typer.Option("--ingest", help="From Yahoo to Kafka, bars and quotes, instead.")] = False,
    orchestration: Annotated[
        bool, typer.Option("--orchestration", help="What Dagster costs with 50 symbols and an open market, instead.")
    ] = False,
    start: Annotated[bool, typer.Option("--start", help="What a start takes, and a killed part, instead.")] = False,
    repeats: Annotated[int, typer.Option(min=1, help="How often a start is measured.")] = 5,
    bars: Annotated[int, typer.Option(min=1_000, help="Messages that are published at once.")] = 1_000_000,
    symbols: Annotated[int, typer.Option(min=1, help="Symbols that they are about.")] = 500,
    seconds: Annotated[int, typer.Option(min=5, help="How long latency or ingest is measured, or a soak lasts.")] = 300,
    rate: Annotated[int, typer.Option(min=20, help="Messages a second meanwhile.")] = 1_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Measure the stream against the database's own limit, on separate servers; takes minutes.

    The figures of one run can be compared with one another, those of two runs can't: machines change their speed.
    """
    if orchestration:
        _orchestration(seconds, as_json)
        return
    if start:
        _start(repeats, as_json)
        return
    if ingest:
        _ingest(symbols, max(1, seconds // 60), as_json)
        return
    from infra.bench.environment import bench_environment

    with plain_errors(), Progress() as progress, bench_environment(progress) as servers:
        if latency:
            answer, table = _latency(servers, progress, rate, seconds)
        elif soak:
            answer, table = _soak(servers, progress, bars, symbols, rate, seconds)
        elif grafana:
            answer, table = _dashboards(servers, progress)
        else:
            answer, table = _throughput(servers, progress, bars, symbols)
    if as_json:
        print(json.dumps(answer))
    else:
        answers.print(table)


def _latency(
    servers: "BenchEnvironment", progress: Progress, rate: int, seconds: int
) -> tuple[dict[str, object], Table]:
    from infra.bench.latency import measure

    figures = measure(servers, progress, rate, seconds)
    table = Table(*figures, title="from append in Kafka to queryable")
    table.add_row(*map(str, figures.values()))
    return {"latency": figures}, table


def _soak(
    servers: "BenchEnvironment", progress: Progress, bars: int, symbols: int, rate: int, seconds: int
) -> tuple[dict[str, object], Table]:
    from infra.bench.soak import measure

    figures = measure(servers, progress, bars, symbols, rate, seconds)
    table = Table("", "", title="a backlog, and bars that go on arriving", show_header=False)
    for what, figure in figures.items():
        table.add_row(what.replace("_", " "), f"{figure:,}")
    return {"soak": figures}, table


def _dashboards(servers: "BenchEnvironment", progress: Progress) -> tuple[dict[str, object], Table]:
    from infra.bench.dashboards import measure

    views = measure(servers, progress)
    table = Table("", "slowest query", "median, ms", "worst, ms", "all queries, ms", "values")
    for view, figures in views.items():
        table.add_row(view, *map(str, figures.values()))
    return dict(views), table


def _throughput(
    servers: "BenchEnvironment", progress: Progress, bars: int, symbols: int
) -> tuple[dict[str, object], Table]:
    from infra.bench.throughput import Throughput, ratios

    report = Throughput(servers, progress, bars, symbols).report()
    caption = "\n".join(f"{name}: {ratio}" for name, ratio in ratios(report).items())
    headers = ("", "points/s", "client CPU-s a million", "server CPU-s a million", "peak memory, MB")
    table = Table(*headers, caption=caption, caption_justify="left", caption_style="")
    for name, result in report.items():
        table.add_row(name.replace("_", " "), *(map(str, result.values()) if result else ["not on PATH"]))
    return dict(report), table


def _ingest(symbols: int, minutes: int, as_json: bool) -> None:
    from infra.bench import ingest, quotes
    from infra.bench.environment import bench_environment

    with plain_errors(), Progress() as progress:
        with bench_environment(progress) as servers:
            quote_figures = quotes.measure(servers, progress, _QUOTES, symbols)
        bar_figures = ingest.measure(progress, symbols, minutes, _CONCURRENCY)
    if as_json:
        print(json.dumps({"ingest": bar_figures, "quotes": quote_figures}))
        return
    for title, figures in (
        ("from the end of a 1-minute bar to its append in Kafka", bar_figures),
        ("quotes from the WebSocket to their append in Kafka", quote_figures),
    ):
        table = Table(*figures, title=title)
        table.add_row(*map(str, figures.values()))
        answers.print(table)


def _start(repeats: int, as_json: bool) -> None:
    from infra.bench.start import measure

    with plain_errors(), Progress() as progress:
        answer = measure(progress, repeats)
    if as_json:
        print(json.dumps(answer))
        return
    for title, figures in answer.items():
        table = Table(title, "s")
        for what, figure in figures.items():
            table.add_row(what, f"{figure:.1f}")
        answers.print(table)


def _orchestration(seconds: int, as_json: bool) -> None:
    from infra.bench.orchestration import SYMBOLS, measure

    with plain_errors(), Progress() as progress:
        answer = measure(progress, SYMBOLS, seconds)
    if as_json:
        print(json.dumps(answer))
        return
    for title, rows in answer.items():
        table = Table(title, *(name.replace("_", " ") for name in next(iter(rows.values()), {})))
        for name, figures in rows.items():
            table.add_row(name, *map(str, figures.values()))
        answers.print(table)
