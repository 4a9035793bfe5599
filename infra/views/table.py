"""The quote board as a table that fits the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.views.banner import source_line
from spark_streaming.contract.schema import Source
from stock_assets.pipeline.freshness import FreshnessStatus
from stock_assets.pipeline.quote_board import BoardRow, sparkline

_TREND = 24  # characters of the sparkline
_NOTHING = "-"


@dataclass(frozen=True)
class Board:
    """The content of the quote board; `clock` is the time, in UTC, at which freshness was evaluated."""

    source: Source
    clock: datetime
    rows: Sequence[BoardRow]
    lag: int | None  # messages that are not stored yet
    problem: str = ""  # why it could not be refreshed


@dataclass(frozen=True)
class _Column:
    title: str
    cell: Callable[[BoardRow], Text]
    justify: str = "right"


def format_duration(span: timedelta) -> str:
    """Return a duration in its largest unit: `12 s`, `4 min`, `3 h`, `2 d`."""
    seconds = int(span.total_seconds())
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def columns_for(widths: dict[str, int], width: int) -> list[str]:
    """Return the columns that fit into `width` characters, in order of display; the most important are kept."""
    kept: list[str] = []
    for title in _BY_IMPORTANCE:
        if sum(widths[other] + 2 for other in (*kept, title)) <= width or title == "symbol":
            kept.append(title)
    return [column.title for column in _COLUMNS if column.title in kept]


def render_board(board: Board, width: int) -> RenderableType:
    """Return the board for a terminal of `width` characters."""
    cells = {column.title: [column.cell(row) for row in board.rows] for column in _COLUMNS}
    widths = {title: max([cell_len(title), *(cell.cell_len for cell in column)]) for title, column in cells.items()}
    shown = columns_for(widths, width)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in _COLUMNS:
        if column.title in shown:
            table.add_column(column.title, justify=column.justify, no_wrap=True)  # type: ignore[arg-type]
    for number in range(len(board.rows)):
        table.add_row(*(cells[title][number] for title in shown))
    clock = ", the replay's clock" if board.source is Source.REPLAY else ""
    footer = Text(f"as of {board.clock:%Y-%m-%d %H:%M:%S}Z{clock}; {_lag(board.lag)}", style="dim")
    lines: list[RenderableType] = [table, footer]
    if not board.source.is_live:
        lines.insert(0, Text(source_line(board.source), style="yellow"))
    if board.problem:
        lines.append(Text(board.problem, style="red"))
    return Group(*lines)


def row_as_json(row: BoardRow) -> dict[str, object]:
    """Return a row for JSON: times in ISO 8601 and UTC, durations in seconds."""
    return {
        "symbol": row.symbol,
        "interval": row.interval,
        "last": row.last,
        "last_at": f"{row.last_at:%Y-%m-%dT%H:%M:%SZ}" if row.last_at else None,
        "change": row.change,
        "change_percent": row.change_percent,
        "low": row.low,
        "high": row.high,
        "age_seconds": row.age.total_seconds() if row.age is not None else None,
        "verdict": row.status,
        "late_by_seconds": row.late_by.total_seconds(),
        "market": "open" if row.market_is_open else "closed",
    }


def _lag(messages: int | None) -> str:
    if messages is None:
        return "lag unknown"
    return f"{messages:,} messages not stored yet" if messages else "every message is stored"


def _price(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.{2 if abs(value) >= 1 else 4}f}"


def _signed(value: float | None, unit: str = "") -> Text:
    if value is None:
        return Text(_NOTHING)
    return Text(f"{value:+,.2f}{unit}", style="green" if value > 0 else "red" if value < 0 else "")


def _range(row: BoardRow) -> Text:
    return Text(_NOTHING if row.low is None else f"{_price(row.low)} - {_price(row.high)}")


def _freshness(row: BoardRow) -> Text:
    if row.status is FreshnessStatus.LATE:
        return Text(f"late {format_duration(row.late_by)}", style="red")
    if row.age is None:
        return Text(row.status.value, style="red" if row.status is FreshnessStatus.MISSING else "dim")
    return Text(f"{row.status.value} {format_duration(row.age)}")


def _market(row: BoardRow) -> Text:
    return Text("open", style="green") if row.market_is_open else Text("closed", style="dim")


_COLUMNS = (
    _Column("symbol", lambda row: Text(row.symbol, style="bold"), "left"),
    _Column("last", lambda row: Text(_price(row.last))),
    _Column("change", lambda row: _signed(row.change)),
    _Column("change %", lambda row: _signed(row.change_percent, " %")),
    _Column("day range", _range),
    _Column("trend", lambda row: Text(sparkline(row.closes, _TREND)), "left"),
    _Column("freshness", _freshness, "left"),
    _Column("market", _market, "left"),
)
_BY_IMPORTANCE = ("symbol", "last", "change %", "freshness", "change", "market", "trend", "day range")
