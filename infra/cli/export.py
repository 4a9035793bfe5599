"""`stocks export`: bars as a Parquet or CSV file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.console import errors, plain_errors, short_path
from infra.host.errors import Exit, StackError
from infra.views.banner import source_line
from spark_streaming.contract.clock import now

if TYPE_CHECKING:
    from infra.views.prices import PriceReader
    from stock_assets.market.adjustment import CorporateAction


def export(
    symbols: Annotated[list[str], typer.Argument(help="As AMZN.")],
    out: Annotated[Path, typer.Option(help="The file to write: .parquet or .csv.")],
    begin: Annotated[
        str | None, typer.Option("--from", help="A day at the exchange, 2026-11-20, or a time, 2026-11-20T14:30:00Z.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="The same; a day is included, a time is excluded.")] = None,
    interval: Annotated[str | None, typer.Option(help="As 2m, where several are stored.")] = None,
    adjusted: Annotated[
        bool, typer.Option("--adjusted", help="Adjust for splits and dividends, so that prices compare with today's.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write stored bars into a file: symbol, interval, time (the bar's start, UTC), open, high, low, close, volume.

    Prices are as they were traded, unless --adjusted; without --from and --to all that is stored.
    """
    with plain_errors():
        from infra.views.export import check_target, write_bars
        from infra.views.prices import PriceReader
        from stock_assets.settings import code_location

        check_target(out, force=force)
        settings = code_location()
        spans = _spans(PriceReader.from_settings(settings), list(dict.fromkeys(symbols)), interval, begin, end)
        about = {"stocks.source": settings.source.value, "stocks.bucket": settings.names.bucket}
        with errors.status(f"writing {short_path(out.absolute())}"):
            count = write_bars(
                _batches(PriceReader.from_settings(settings), spans, adjusted),
                out,
                about | {"stocks.adjusted": str(adjusted)},
            )
        if count == 0:
            raise StackError(f"no bar of {', '.join(symbols)} is stored in that time", Exit.USAGE)
        errors.print(f"{short_path(out.absolute())}: {count:,} bars. {source_line(settings.source)}", markup=False)


def _spans(
    prices: "PriceReader", symbols: list[str], interval: str | None, begin: str | None, end: str | None
) -> list[tuple[Any, Any, Any]]:
    """A series with the time of its bars, for each symbol."""
    from infra.views.selection import select_series, time_range
    from stock_assets.market.symbols import exchange_for
    from stock_assets.settings import code_location

    ranges = prices.stored_ranges()
    chosen = [select_series(ranges, symbol, interval) for symbol in symbols]
    return [(s, *time_range(exchange_for(code_location().source, s[0]), begin, end, ranges[s])) for s in chosen]


def _batches(prices: "PriceReader", spans: list[tuple[Any, Any, Any]], adjust: bool) -> Iterator[Any]:
    from infra.views.export import adjusted

    for series, begin, end in spans:
        actions = _actions(series[0]) if adjust else []
        if adjust and not actions:
            errors.print(f"{series[0]}: no split and no dividend is known, so its prices stay as traded.", markup=False)
        for batch in prices.bars(series, begin, end):
            yield adjusted(batch, actions)


def _actions(symbol: str) -> "list[CorporateAction]":
    """The splits and dividends of a symbol up to now: today's prices are those before tomorrow's split."""
    from infra.views.prices import explain_postgres_errors
    from stock_assets.market.calendars import date_at
    from stock_assets.market.symbols import exchange_of
    from stock_assets.settings import code_location
    from stock_assets.store.corporate_actions import read_actions
    from stock_assets.store.engine import make_engine

    today = date_at(exchange_of(symbol), now())
    with explain_postgres_errors(code_location()):
        return [a for a in read_actions(make_engine(code_location().postgres), symbol) if a.ex_date <= today]
