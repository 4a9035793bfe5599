"""A small sheet of candlesticks of a session: in Dagster's UI, and kept on disk for a while."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_assets.sessions.dates import DATE

if TYPE_CHECKING:
    import pandas as pd

CANDLES = 60  # of a panel, at most
_COLUMNS = 3
_OHLC = ("open", "high", "low", "close", "volume")
PANELS = 12  # more would be too small to see anything
_COLORS = 48  # a picture lies in Dagster's event log: a palette makes it a third as large


@dataclass(frozen=True)
class Panel:
    """One symbol's part of the sheet.

    `candles` has the columns open, high, low, close, and as its index naive times of the exchange, which are shown by
    `time_format`.
    """

    title: str
    candles: "pd.DataFrame"
    time_format: str


def draw(panels: Sequence[Panel], title: str) -> bytes:
    """Return a PNG with a small chart for each panel."""
    import matplotlib as mpl

    mpl.use("Agg")
    import mplfinance as mpf
    from matplotlib import pyplot

    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure = mpf.figure(style="yahoo", figsize=(4.2 * columns, 2.6 * lines + 0.4))
    try:
        for number, panel in enumerate(panels, 1):
            axes = figure.add_subplot(lines, columns, number)
            mpf.plot(
                panel.candles, type="candle", ax=axes, datetime_format=panel.time_format, xrotation=0, columns=_OHLC
            )
            axes.set_title(panel.title, fontsize=10)
            axes.set_ylabel("")
            axes.tick_params(labelsize=7)
        figure.suptitle(title, fontsize=11)
        figure.tight_layout()
        return _small_png(figure)
    finally:
        pyplot.close(figure)


def _small_png(figure: Any) -> bytes:  # noqa: ANN401 - matplotlib's
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=80)
    small = io.BytesIO()
    Image.open(drawn).convert("RGB").quantize(_COLORS).save(small, "PNG", optimize=True)
    return small.getvalue()


def save_picture(folder: Path, day: date, picture: bytes, days: int, now: datetime) -> Path:
    """Write the picture of a session date, and return its path; delete pictures drawn more than `days` days ago."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{day:{DATE}}.png"
    path.write_bytes(picture)
    oldest = (now - timedelta(days=days)).timestamp()
    for old in folder.glob("*.png"):
        if old.stat().st_mtime < oldest:
            old.unlink()
    return path


def metadata_of(picture: bytes, path: Path) -> dict[str, dg.MetadataValue]:
    """Return the metadata that shows the picture in the UI."""
    inline = f"![candlesticks](data:image/png;base64,{base64.b64encode(picture).decode()})"
    return {"candlesticks": dg.MetadataValue.md(inline), "picture": dg.MetadataValue.path(path)}
