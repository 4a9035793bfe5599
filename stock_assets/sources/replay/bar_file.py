"""Reads a CSV or Parquet file of bars in chunks, so that its size does not matter."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.parquet as pq

from stock_assets.sources.base import SourceError
from stock_assets.sources.replay.csv_rows import read_csv_chunks
from stock_assets.sources.replay.line_checks import NUMBERS, InvalidLine, LineChecks

NAMES = ("timestamp", "symbol", "interval", *NUMBERS)
_USUAL_COLUMNS = {"timestamp": ("timestamp", "date", "datetime", "time"), "symbol": ("symbol", "ticker")}
_ROWS_A_CHUNK = 100_000


class BarFileError(SourceError):
    """A file of bars can't be used; the message names the problem and the remedy."""


@dataclass(frozen=True)
class FileLayout:
    """How to read a file. `columns` maps a bar's fields to the file's columns.

    With `skip_invalid`, invalid lines are left out and listed; without it, the first of them is an error.
    """

    path: Path
    columns: Mapping[str, str]
    symbol: str | None = None
    interval: str | None = None
    timezone: str | None = None
    skip_invalid: bool = False


@dataclass(frozen=True)
class FileChunk:
    """A part of a file: symbol, interval, start (UTC), open, high, low, close (float64), volume (int64)."""

    bars: pd.DataFrame
    left_out: list[InvalidLine]


def parse_columns(option: str) -> dict[str, str]:
    """`"timestamp=Date,open=Open"` as a mapping.

    Raises:
        BarFileError: a name is no field of a bar.
    """
    pairs = dict(part.split("=", 1) for part in option.split(",") if "=" in part)
    columns = {name.strip(): column.strip() for name, column in pairs.items()}
    unknown = sorted(columns.keys() - set(NAMES))
    if unknown or (option and not columns):
        raise BarFileError(
            f"--columns {option}: {', '.join(unknown) or option} is no field of a bar; "
            "write timestamp=…,symbol=…,interval=…,open=…,high=…,low=…,close=…,volume=…"
        )
    return columns


def check_timezone(name: str | None) -> None:
    """Raise BarFileError where there is no time zone `name`."""
    try:
        ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        raise BarFileError(f"--timezone {name}: there is no such time zone; write it as America/New_York") from None


def read_chunks(layout: FileLayout) -> Iterator[FileChunk]:
    """Read the file; the bars of a symbol and interval are sorted by time, without duplicates.

    Raises:
        BarFileError: the file can't be used; for an invalid line the message names file, line, value and remedy.
    """
    newest: dict[tuple[str, str], pd.Timestamp] = {}
    used = left_out = 0
    for frame, uneven in _read(layout.path):
        chunk = _checked_chunk(layout, frame, uneven, newest)
        used, left_out = used + len(chunk.bars), left_out + len(chunk.left_out)
        yield chunk
    if not used:
        problem = f"none of its {left_out} rows is a bar" if left_out else "it has no rows"
        raise BarFileError(f"{layout.path}: {problem}; give a file with at least one bar")


def _checked_chunk(
    layout: FileLayout,
    frame: pd.DataFrame,
    uneven: Mapping[int, InvalidLine],
    newest: dict[tuple[str, str], pd.Timestamp],
) -> FileChunk:
    now = datetime.now(UTC).replace(microsecond=0)
    checks = LineChecks(frame, _names(layout, list(frame.columns)), layout.symbol, layout.interval, uneven)
    checks.check_names(now)
    checks.check_times(layout.timezone, now)
    checks.check_numbers()
    checks.check_order(newest)
    invalid = [checks.invalid[line] for line in sorted(checks.invalid)]
    if invalid and not layout.skip_invalid:
        more = f" (and {len(invalid) - 1} more lines near it)" if len(invalid) > 1 else ""
        raise BarFileError(
            f"{layout.path}, {invalid[0]}{more}. Correct the file, or leave such lines out with --skip-invalid"
        )
    return FileChunk(checks.valid_bars(), invalid)


def _read(path: Path) -> Iterator[tuple[pd.DataFrame, Mapping[int, InvalidLine]]]:
    """Chunks of cells, indexed by line of the file (CSV) or row (Parquet), both from 1, and the lines that have more or
    fewer cells than the header.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            line = 1
            for batch in pq.ParquetFile(path).iter_batches(batch_size=_ROWS_A_CHUNK):
                frame = batch.to_pandas()
                frame.index = pd.RangeIndex(line, line + len(frame))
                line += len(frame)
                yield frame, {}
            return
        yield from read_csv_chunks(path, _ROWS_A_CHUNK)
    except FileNotFoundError:
        raise BarFileError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # pandas and pyarrow raise ValueError's children
        raise BarFileError(f"{path}: it can't be read as {path.suffix or 'CSV'}: {error}") from error


def _names(layout: FileLayout, columns: list[str]) -> dict[str, str]:
    """Field of a bar -> the file's column: as given, else one of the usual names, in any case."""
    folded = {str(column).strip().lower(): column for column in columns}
    names: dict[str, str] = {}
    for name in NAMES:
        if name in layout.columns:
            if layout.columns[name] not in columns:
                raise BarFileError(
                    f"{layout.path}: there is no column {layout.columns[name]!r} for {name}; it has {columns}"
                )
            names[name] = layout.columns[name]
            continue
        found = next((folded[column] for column in _USUAL_COLUMNS.get(name, (name,)) if column in folded), None)
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
