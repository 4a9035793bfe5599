"""A CSV or Parquet file of bars, read in pieces, however large it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.parquet as pq

from stock_assets.sources.base import SourceError
from stock_assets.sources.replay.line_checks import NUMBERS, InvalidLine, LineChecks

NAMES = ("timestamp", "symbol", "interval", *NUMBERS)
_USUAL = {"timestamp": ("timestamp", "date", "datetime", "time"), "symbol": ("symbol", "ticker")}
_ROWS_A_PIECE = 100_000


class BarFileError(SourceError):
    """A file of bars can't be used as it is."""


@dataclass(frozen=True)
class FileLayout:
    """How a file says what a bar is. `columns` maps our names to the file's own.

    With `skip_invalid` lines that are no bars are left out and listed; without, the first of them is an error.
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
        BarFileError: a name that a bar doesn't have.
    """
    pairs = dict(part.split("=", 1) for part in option.split(",") if "=" in part)
    columns = {name.strip(): column.strip() for name, column in pairs.items()}
    unknown = sorted(columns.keys() - set(NAMES))
    if unknown or (option and not columns):
        raise BarFileError(
            f"--columns {option}: {', '.join(unknown) or option} is none of a bar's names; "
            "write timestamp=…,symbol=…,interval=…,open=…,high=…,low=…,close=…,volume=…"
        )
    return columns


def check_timezone(name: str | None) -> None:
    """Raise BarFileError where `name` is no time zone."""
    try:
        ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        raise BarFileError(f"--timezone {name}: there is no such time zone; write it as America/New_York") from None


def read_chunks(layout: FileLayout) -> Iterator[FileChunk]:
    """Read the file; bars of one symbol and interval come in the order of time, each once.

    Raises:
        BarFileError: names file, line, value and remedy of the first thing that is wrong.
    """
    newest: dict[tuple[str, str], pd.Timestamp] = {}
    used = left_out = 0
    for frame in _read(layout.path):
        piece = _judged(layout, frame, newest)
        used, left_out = used + len(piece.bars), left_out + len(piece.left_out)
        yield piece
    if not used:
        what = f"none of its {left_out} rows is a bar" if left_out else "it has no rows"
        raise BarFileError(f"{layout.path}: {what}; give a file with at least one bar")


def _judged(layout: FileLayout, frame: pd.DataFrame, newest: dict[tuple[str, str], pd.Timestamp]) -> FileChunk:
    now = datetime.now(UTC).replace(microsecond=0)
    lines = LineChecks(frame, _names(layout, list(frame.columns)), layout.symbol, layout.interval)
    lines.judge_names(now)
    lines.judge_times(layout.timezone, now)
    lines.judge_numbers()
    lines.judge_order(newest)
    refused = [lines.refusals[line] for line in sorted(lines.refusals)]
    if refused and not layout.skip_invalid:
        more = f" (and {len(refused) - 1} more lines near it)" if len(refused) > 1 else ""
        raise BarFileError(
            f"{layout.path}, {refused[0]}{more}. Correct the file, or leave such lines out with --skip-invalid"
        )
    return FileChunk(lines.good(), refused)


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
        options = {"dtype": str, "skipinitialspace": True, "keep_default_na": False, "skip_blank_lines": False}
        options["index_col"] = False  # a comma at the end of each row makes no index of the first column
        with pd.read_csv(path, chunksize=_ROWS_A_PIECE, **options) as reader:  # type: ignore[call-overload]
            for frame in reader:
                frame.index = frame.index + 2  # line 1 is the header
                yield frame[~(frame.isna() | (frame == "")).all(axis=1)]  # blank lines count, and say nothing
    except FileNotFoundError:
        raise BarFileError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # pandas and pyarrow raise ValueError's children
        raise BarFileError(f"{path}: it can't be read as {path.suffix or 'CSV'}: {error}") from error


def _names(layout: FileLayout, columns: list[str]) -> dict[str, str]:
    """Our names -> the file's columns: as told, else by the usual words, whatever their case."""
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
        found = next((folded[word] for word in _USUAL.get(name, (name,)) if word in folded), None)
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
