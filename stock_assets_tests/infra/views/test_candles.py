"""Charts drawn with characters, and the columns of the quote board on a narrow terminal."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from infra.views.candles import Candle, draw_candles, merge_candles
from infra.views.table import Board, columns_for, format_duration, render_board
from spark_streaming.contract.schema import Source
from stock_assets.pipeline.freshness import FreshnessStatus
from stock_assets.pipeline.quote_board import BoardRow

NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)


def candle(open_: float, high: float, low: float, close: float, minute: int = 0) -> Candle:
    return Candle(NOON + timedelta(minutes=minute), open_, high, low, close, 10)


def row(symbol: str, last: float | None = 12.5, verdict: FreshnessStatus = FreshnessStatus.FRESH) -> BoardRow:
    late = timedelta(minutes=4) if verdict is FreshnessStatus.LATE else timedelta(0)
    return BoardRow(
        symbol, "2m", last, NOON, 0.5, 4.2, 12.0, 13.0, (12, 13), timedelta(seconds=75), late, verdict, True
    )


def text(board: Board, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(render_board(board, width))
    return capture.get()


def test_merged_candles_keep_their_extremes() -> None:
    [one] = merge_candles([candle(1, 5, 1, 2), candle(2, 3, 0.5, 2.5, 1), candle(2.5, 4, 2, 3, 2)], 1)
    assert (one.open, one.high, one.low, one.close, one.volume) == (1, 5, 0.5, 3, 30)
    assert len(merge_candles([candle(1, 1, 1, 1, minute) for minute in range(390)], 80)) == 78


def test_a_candle_has_a_body_and_wicks() -> None:
    lines = draw_candles([candle(2, 4, 0, 3), candle(1, 1, 1, 1)], 80, 9)
    first = "".join(line.plain[5] for line in lines[:-1])
    assert first == "││┃┃╿│││"  # from 4.00 at the top to 0.00
    assert sum(line.plain[6:].strip() != "" for line in lines[:-1]) == 1  # one price: one mark
    assert lines[0].plain.startswith("4.00 ")
    assert lines[-2].plain.startswith("0.00 ")


def test_constant_prices_are_drawn() -> None:
    assert any(set("┃╹╻") & set(line.plain) for line in draw_candles([candle(5, 5, 5, 5)], 40, 10))


def test_a_chart_fits_its_size() -> None:
    lines = draw_candles([candle(100, 120, 90, 110, minute) for minute in range(1000)], 60, 20)
    assert len(lines) == 20
    assert max(line.cell_len for line in lines) <= 60


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (3 * 86_400, "3 d")]
)
def test_a_duration_is_shown_in_its_largest_unit(seconds: int, words: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == words


def test_a_narrow_terminal_keeps_the_symbol_the_price_and_the_change() -> None:
    widths = {"symbol": 6, "last": 8, "change": 8, "change %": 9, "day range": 17, "trend": 24, "freshness": 12,
              "market": 6}  # fmt: skip
    assert columns_for(widths, 200) == list(widths)
    assert columns_for(widths, 30) == ["symbol", "last", "change %"]
    assert columns_for(widths, 3) == ["symbol"]


@pytest.mark.parametrize("width", [20, 40, 80, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    board = Board(Source.YAHOO, NOON, [row("AMZN"), row("BTC-USD", 91_234.5, FreshnessStatus.LATE)], 3)
    shown = text(board, width).splitlines()
    assert "AMZN" in shown[1]
    assert len(shown[1]) <= width


def test_a_late_symbol_shows_by_how_much_and_the_lag_is_shown() -> None:
    shown = text(Board(Source.YAHOO, NOON, [row("AMZN", verdict=FreshnessStatus.LATE)], 1234), 120)
    assert "late 4 min" in shown
    assert "1,234 messages not stored yet" in shown
    assert "Yahoo" not in shown


def test_prices_that_are_not_live_are_marked_and_a_problem_is_shown() -> None:
    shown = text(Board(Source.SIMULATED, NOON, [row("AMZN")], None, "InfluxDB does not answer"), 120)
    assert "NOT live Yahoo data" in shown
    assert "InfluxDB does not answer" in shown
    assert "lag unknown" in shown
