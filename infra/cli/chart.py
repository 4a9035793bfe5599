"""`stocks chart`: candlesticks of a symbol, in the terminal or as a picture."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from infra.cli.console import errors, plain_errors, short_path
from infra.host.errors import Exit, StackError
from infra.views.banner import source_line
from spark_streaming.contract.schema import Source

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from infra.views.candles import Candle

_DAILY = timedelta(days=180)  # of a chart of daily bars


def chart(
    symbol: Annotated[str, typer.Argument(help="As AMZN.")],
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day at its exchange; none: the newest.")
    ] = None,
    interval: Annotated[str | None, typer.Option(help="As 2m, where several are stored.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a picture: .png, .svg or .pdf.")] = None,
) -> None:
    """Draw a day of a symbol: here in the terminal, or with --out as a picture. Of daily bars it is half a year."""
    with plain_errors():
        from infra.views.picture import FORMATS

        if out is not None and out.suffix.lower() not in FORMATS:
            raise StackError(f"--out {out}: the name has to end in one of {', '.join(FORMATS)}", Exit.USAGE)
        from infra.views.picture import save_chart
        from stock_assets.settings import code_location

        candles, title, zone = _bars(symbol, day, interval)
        source = code_location().source
        if out is not None:
            save_chart(candles, title if source is Source.YAHOO else f"{title}  ({source}: not live)", zone, out)
            errors.print(f"{short_path(out.absolute())}: {title}, {len(candles):,} bars.", markup=False)
        else:
            _print(candles, title, zone, source)


def _bars(symbol: str, day: datetime | None, interval: str | None) -> "tuple[list[Candle], str, ZoneInfo]":
    """The bars of the chart, its title, and the zone of its times."""
    from infra.views.candles import Candle
    from infra.views.prices import PriceReader
    from infra.views.selection import exchange_day, exchange_zone, select_series
    from stock_assets.market.bars import interval_length
    from stock_assets.market.symbols import exchange_for
    from stock_assets.pipeline.quote_board import shown_series
    from stock_assets.settings import code_location

    settings = code_location()
    prices = PriceReader.from_settings(settings)
    ranges = prices.stored_ranges()
    if interval is None and (newest := shown_series({series: end for series, (_, end) in ranges.items()}, [symbol])):
        interval = newest[0][1]
    series = select_series(ranges, symbol, interval)
    exchange, newest_bar = exchange_for(settings.source, symbol), ranges[series][1]
    zone = exchange_zone(exchange)
    if interval_length(series[1]) is None:
        if day is not None:
            raise StackError(f"{symbol} is stored in {series[1]}: a day of it is one bar. Leave out --day", Exit.USAGE)
        begin, end = newest_bar - _DAILY, newest_bar + timedelta(seconds=1)
    else:
        begin, end = exchange_day(exchange, day.date() if day else newest_bar.astimezone(zone).date())
    candles = [
        Candle(row["time"], row["open"], row["high"], row["low"], row["close"], row["volume"])
        for batch in prices.bars(series, begin, end)
        for row in batch.to_pylist()
    ]
    if not candles:
        day_there = begin.astimezone(zone).date()
        raise StackError(f"no bar of {symbol} is stored of {day_there} by the clock of {zone}", Exit.USAGE)
    days = dict.fromkeys(str(candle.start.astimezone(zone).date()) for candle in (candles[0], candles[-1]))
    return candles, f"{symbol}  {series[1]}  {' to '.join(days)}", zone


def _print(candles: "list[Candle]", title: str, zone: "ZoneInfo", source: Source) -> None:
    from infra.views.candles import draw_candles

    console = Console(highlight=False)
    width = console.width if console.is_terminal else 100
    height = min(console.height - 6, 24) if console.is_terminal else 20
    first, last = candles[0], candles[-1]
    change = (last.close / first.open - 1) * 100
    figures = (
        f"open {first.open:,.2f}  high {max(c.high for c in candles):,.2f}  low {min(c.low for c in candles):,.2f}"
    )
    if not source.is_live:
        console.print(source_line(source), style="yellow")
    console.print(Text(title, style="bold"))
    console.print(Text(f"{figures}  close {last.close:,.2f}  {change:+.2f} %"))
    for line in draw_candles(candles, width, height):
        console.print(line, no_wrap=True, overflow="crop")
    times = [f"{moment.start.astimezone(zone):%Y-%m-%d %H:%M}" for moment in (first, last)]
    console.print(f"{times[0]} to {times[1]}, {len(candles):,} bars, clock of {zone}", style="dim")
