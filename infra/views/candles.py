"""Candlesticks drawn with characters, for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from stock_assets.pipeline.quote_board import sparkline

# What fills the upper and the lower half of a character cell: nothing, the wick (light) or the body (heavy).
_NONE, _WICK, _BODY = 0, 1, 2
_SHAPES = {
    (_NONE, _NONE): " ", (_WICK, _WICK): "│", (_BODY, _BODY): "┃",
    (_NONE, _WICK): "╷", (_WICK, _NONE): "╵", (_NONE, _BODY): "╻", (_BODY, _NONE): "╹",
    (_WICK, _BODY): "╽", (_BODY, _WICK): "╿",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candle:
    """A bar, or several consecutive bars merged into one; `start` in UTC, `volume` in shares."""

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int


def merge_candles(candles: Sequence[Candle], most: int) -> list[Candle]:
    """Return at most `most` candles for the same time range: as many consecutive ones as needed are merged."""
    size = max(1, -(-len(candles) // max(1, most)))
    return [_merge(candles[at : at + size]) for at in range(0, len(candles), size)]


def draw_candles(candles: Sequence[Candle], width: int, height: int) -> list[Text]:
    """Return the lines of a chart of at most `width` by `height` characters: price scale, candles, volume below.

    Rising candles are green, falling ones red.
    """
    low, high = min(c.low for c in candles), max(c.high for c in candles)
    rows = max(4, height - 1)
    labels = [f"{high - (high - low) * row / (rows - 1):,.2f}" for row in range(rows)]
    scale = max(map(len, labels))
    shown = merge_candles(candles, width - scale - 1)
    columns = [_column(candle, low, high, rows) for candle in shown]
    lines = []
    for row in range(rows):
        line = Text(
            labels[row].rjust(scale) + " " if row % 4 == 0 or row == rows - 1 else " " * (scale + 1), style="dim"
        )
        for candle, column in zip(shown, columns, strict=True):
            line.append(column[row], style="not dim " + ("green" if candle.close >= candle.open else "red"))
        lines.append(line)
    volumes = sparkline([candle.volume for candle in shown], len(shown))
    return [*lines, Text("volume ".rjust(scale + 1)[: scale + 1] + volumes, style="dim")]


def _merge(candles: Sequence[Candle]) -> Candle:
    return Candle(
        start=candles[0].start,
        open=candles[0].open,
        high=max(c.high for c in candles),
        low=min(c.low for c in candles),
        close=candles[-1].close,
        volume=sum(c.volume for c in candles),
    )


def _column(candle: Candle, low: float, high: float, rows: int) -> str:
    """Return a candle from top to bottom, one character a row."""
    halves = rows * 2

    def half(price: float) -> int:  # 0 is the top one
        return round((high - price) / (high - low) * (halves - 1)) if high > low else halves // 2

    filled = [_NONE] * halves
    for at in range(half(candle.high), half(candle.low) + 1):
        filled[at] = _WICK
    for at in range(half(max(candle.open, candle.close)), half(min(candle.open, candle.close)) + 1):
        filled[at] = _BODY
    return "".join(_SHAPES[filled[row * 2], filled[row * 2 + 1]] for row in range(rows))
