"""Candlesticks as an image file."""

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from infra.views.candles import Candle

FORMATS = (".png", ".svg", ".pdf")


def save_chart(candles: Sequence[Candle], title: str, zone: ZoneInfo, path: Path) -> None:
    """Draw prices and volume, with times in `zone`, into a file whose suffix is one of `FORMATS`."""
    import matplotlib as mpl

    mpl.use("Agg")  # needs no display
    import mplfinance
    import pandas as pd

    times = pd.DatetimeIndex([candle.start for candle in candles]).tz_convert(zone).tz_localize(None)
    columns = {name.capitalize(): [getattr(c, name) for c in candles] for name in ("open", "high", "low", "close")}
    frame = pd.DataFrame(columns | {"Volume": [candle.volume for candle in candles]}, index=times)
    mplfinance.plot(
        frame, type="candle", volume=True, style="yahoo", axtitle=title, figsize=(12, 7), tight_layout=True,
        xlabel=str(zone), warn_too_much_data=len(frame) + 1, savefig={"fname": path, "dpi": 130},
    )  # fmt: skip
