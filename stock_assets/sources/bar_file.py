"""A CSV or Parquet file of bars, read in pieces and held to what a bar must be before any of it is used."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from stock_assets.market.calendars import exchange_of, session_on
from stock_assets.sources.protocol import SourceError

NUMBERS = ("open", "high", "low", "close", "volume")
_ROUNDING = 1e-6  # feeds that went through 32-bit floats miss by 6e-8
_ROWS_A_PIECE = 100_000
_DAY_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}")
_OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")


class BarFileError(SourceError):
    """A file of bars can't be used as it is."""


@dataclass(frozen=True)
class Layout:
    """How a file says what a bar is. `columns` maps our names to the file's own."""

    path: Path
    columns: Mapping[str, str]
    symbol: str | None = None
    interval: str | None = None
    timezone: str | None = None


def parse_columns(option: str) -> dict[str, str]:
    """`"timestamp=Date,open=Open"` as a mapping.

    Raises:
        BarFileError: a name that a bar doesn't have.
    """
    pairs = dict(part.split("=", 1) for part in option.split(",") if "=" in part)
    columns = {name.strip(): column.strip() for name, column in pairs.items()}
    unknown = sorted(columns.keys() - {"timestamp", "symbol", "interval", *NUMBERS})
    if unknown or (option and not columns):
        raise BarFileError(
            f"--columns {option}: {', '.join(unknown) or option} is none of a bar's names; "
            "write timestamp=…,symbol=…,interval=…,open=…,high=…,low=…,close=…,volume=…"
        )
    return columns


def pieces(layout: Layout) -> Iterator[pd.DataFrame]:
    """Read the file: frames of symbol, interval, start (UTC), open, high, low, close (float64), volume (int64).

    Bars of one symbol and interval come in the order of time, each once.

    Raises:
        BarFileError: names file, line, value and remedy of the first thing that is wrong.
    """
    newest: dict[tuple[str, str], pd.Timestamp] = {}
    rows = 0
    for piece in _read(layout.path):
        names = _names(layout, list(piece.columns))
        bars = _bars(layout, piece, names)
        _check_order(layout.path, bars, newest)
        rows += len(bars)
        yield bars
    if not rows:
        raise BarFileError(f"{layout.path}: it has no rows; give a file with at least one bar")


def _read(path: Path) -> Iterator[pd.DataFrame]:
    """Pieces of text cells, indexed by line of the file (CSV) or row (Parquet), both from 1."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            line = 1
            for batch in pq.ParquetFile(path).iter_batches(batch_size=_ROWS_A_PIECE):
                frame = batch.to_pandas()
                frame.index = pd.RangeIndex(line, line + len(frame))
                line += len(frame)
                yield frame
            return
        with pd.read_csv(
            path, dtype=str, chunksize=_ROWS_A_PIECE, skipinitialspace=True, keep_default_na=False
        ) as reader:
            for frame in reader:
                frame.index = frame.index + 2  # line 1 is the header
                yield frame
    except FileNotFoundError:
        raise BarFileError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # pandas and pyarrow raise ValueError's children
        raise BarFileError(f"{path}: it can't be read as {path.suffix or 'CSV'}: {error}") from error


def _names(layout: Layout, columns: list[str]) -> dict[str, str]:
    """Our names -> the file's columns: as told, else by the usual words, whatever their case."""
    usual = {"timestamp": ("timestamp", "date", "datetime", "time"), "symbol": ("symbol", "ticker")}
    folded = {column.strip().lower(): column for column in columns}
    names: dict[str, str] = {}
    for name in ("timestamp", "symbol", "interval", *NUMBERS):
        if name in layout.columns:
            if layout.columns[name] not in columns:
                raise BarFileError(
                    f"{layout.path}: there is no column {layout.columns[name]!r} for {name}; it has {columns}"
                )
            names[name] = layout.columns[name]
            continue
        found = next((folded[word] for word in usual.get(name, (name,)) if word in folded), None)
        if found is not None:
            names[name] = found
        elif name == "symbol" and layout.symbol is None:
            raise BarFileError(
                f"{layout.path}: no column of symbols; name one with --columns symbol=… or give --symbol"
            )
        elif name == "interval" and layout.interval is None:
            raise BarFileError(f"{layout.path}: no column of intervals; give --interval, as 1d or 1m")
        elif name not in ("symbol", "interval"):
            raise BarFileError(
                f"{layout.path}: no column for {name}; it has {columns}: name it with --columns {name}=…"
            )
    return names


def _bars(layout: Layout, piece: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    bars = pd.DataFrame(index=piece.index)
    bars["symbol"] = piece[names["symbol"]].astype(str) if "symbol" in names else layout.symbol
    bars["interval"] = piece[names["interval"]].astype(str) if "interval" in names else layout.interval
    refuse = partial(_refuse, layout.path, piece)
    bars["start"] = _starts(layout, piece[names["timestamp"]], bars, names["timestamp"], refuse)
    for name in NUMBERS:
        bars[name] = pd.to_numeric(piece[names[name]], errors="coerce").astype("float64")
        refuse(~bars[name].abs().lt(float("inf")), names[name], "is no finite number")
    for name in NUMBERS[:4]:
        refuse(bars[name] <= 0, names[name], "is no price: prices are above zero")
    refuse((bars["volume"] < 0) | (bars["volume"] % 1 != 0), names["volume"], "is no volume: whole and not below zero")
    top, bottom = bars[["open", "close", "low"]].max(axis=1), bars[["open", "close", "high"]].min(axis=1)
    refuse(bars["high"] < top * (1 - _ROUNDING), names["high"], "is a high below its open, close or low")
    refuse(bars["low"] > bottom * (1 + _ROUNDING), names["low"], "is a low above its open, close or high")
    return bars.astype({"volume": "int64"})


def _refuse(path: Path, piece: pd.DataFrame, wrong: "pd.Series[bool]", column: str, why: str) -> None:
    if wrong.any():
        line = wrong.idxmax()
        raise BarFileError(
            f"{path}, line {line}: {column} {piece.loc[line, column]!r} {why}; correct or remove that line"
        )


def _starts(
    layout: Layout, texts: "pd.Series[Any]", bars: pd.DataFrame, column: str, refuse: Callable[..., None]
) -> "pd.Series[Any]":
    """The bars' starts in UTC. A date alone is a daily bar's: it starts when its exchange opened."""
    if texts.dtype == object and texts.astype(str).str.fullmatch(_DAY_ONLY).all():
        days = texts.map(date.fromisoformat)
        try:
            starts = [session_on(exchange_of(s), day).opened for s, day in zip(bars["symbol"], days, strict=True)]
        except ValueError as error:
            raise BarFileError(f"{layout.path}, column {column}: {error}; remove that bar") from None
        return pd.Series(pd.DatetimeIndex(starts), index=texts.index)
    times: pd.Series[Any]
    if texts.dtype == object:
        named = texts.astype(str).str.contains(_OFFSET)
        times = pd.to_datetime(texts.where(named), errors="coerce", format="ISO8601", utc=True)
        refuse(times.isna() & named, column, "is no time; write 2026-11-20T14:30:00Z")
        naive = pd.to_datetime(texts.mask(named), errors="coerce", format="ISO8601")
        refuse(naive.isna() & ~named, column, "is no time; write 2026-11-20T14:30:00Z")
    elif texts.dt.tz is not None:
        named, naive = pd.Series(data=True, index=texts.index), texts.dt.tz_localize(None)
        times = texts.dt.tz_convert("UTC")
    else:
        named, naive = pd.Series(data=False, index=texts.index), texts
        times = naive.dt.tz_localize("UTC")
    if named.all():
        return times
    if layout.timezone is None:
        refuse(~named, column, "names no time zone; give --timezone, as America/New_York")
    local = naive.dt.tz_localize(layout.timezone, ambiguous="NaT", nonexistent="NaT")
    refuse(
        local.isna() & ~named, column, f"is ambiguous in {layout.timezone}: the clock changed; write it with its offset"
    )
    return times.where(named, local.dt.tz_convert("UTC"))


def _check_order(path: Path, bars: pd.DataFrame, newest: dict[tuple[str, str], pd.Timestamp]) -> None:
    """Raise where a bar doesn't come after the one before it of the same symbol and interval."""
    for (symbol, interval), group in bars.groupby(["symbol", "interval"], sort=False):
        key = (str(symbol), str(interval))
        starts = group["start"]
        before = starts.shift(1, fill_value=newest.get(key, pd.Timestamp.min.tz_localize("UTC")))
        wrong = starts <= before
        if wrong.any():
            line = wrong.idxmax()
            what = "stands there twice" if starts[line] == before[line] else "comes after a newer bar"
            raise BarFileError(
                f"{path}, line {line}: the bar of {key[0]} at {starts[line]} {what}; "
                "sort the file by time, each bar once"
            )
        newest[key] = starts.iloc[-1]
