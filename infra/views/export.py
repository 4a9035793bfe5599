"""Writes bars into a file batch by batch, so that memory doesn't grow with their number."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from infra.host.errors import Exit, StackError
from infra.views.prices import BARS
from stock_assets.market.adjustment import CorporateAction
from stock_assets.market.adjustment import adjusted as comparable
from stock_assets.market.bars import Bar

FORMATS = (".parquet", ".csv")


class _Writer(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


def check_target(path: Path, *, force: bool) -> None:
    """Check that `path` can be written.

    Raises:
        StackError: the format is unknown, the file exists and `force` is not set, or its folder does not exist.
    """
    if path.suffix.lower() not in FORMATS:
        raise StackError(f"--out {path}: the name has to end in one of {', '.join(FORMATS)}", Exit.USAGE)
    if path.exists() and not force:
        raise StackError(f"{path} exists already; --force replaces it", Exit.USAGE)
    if not path.absolute().parent.is_dir():
        raise StackError(f"{path.absolute().parent} is no folder: create it first", Exit.USAGE)


def write_bars(batches: Iterable[pa.RecordBatch], path: Path, metadata: dict[str, str]) -> int:
    """Write batches of the schema `BARS` and return the number of bars; the file appears once it is complete.

    `metadata` is stored in a Parquet file. Where there is no bar, no file is written.
    """
    draft = path.with_name(f".{path.name}.new")
    count = 0
    try:
        with _writer(draft, path.suffix.lower(), metadata) as writer:
            for batch in batches:
                writer.write(batch)
                count += len(batch)
        if count:
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def adjusted(batch: pa.RecordBatch, actions: Sequence[CorporateAction]) -> pa.RecordBatch:
    """Return the bars of one symbol, adjusted for splits and dividends so that they compare with today's prices."""
    if not actions:
        return batch
    columns = batch.to_pydict()
    columns["start"] = columns.pop("time")
    bars = comparable(
        [Bar(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)], actions
    )
    rows = {"time" if name == "start" else name: [getattr(bar, name) for bar in bars] for name in columns}
    return pa.RecordBatch.from_pydict({name: rows[name] for name in BARS.names}, schema=BARS)


@contextmanager
def _writer(draft: Path, suffix: str, metadata: dict[str, str]) -> Iterator[_Writer]:
    if suffix == ".parquet":
        with parquet.ParquetWriter(draft, BARS.with_metadata(metadata), compression="zstd") as file:
            yield _Parquet(file)
    else:
        text = pa.schema([field.with_type(pa.string()) if field.name == "time" else field for field in BARS])
        options = csv.WriteOptions(quoting_style="needed")
        with csv.CSVWriter(draft, text, write_options=options) as file:
            yield _Csv(file, text)


class _Parquet:
    def __init__(self, file: parquet.ParquetWriter) -> None:
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write_batch(batch)


class _Csv:
    def __init__(self, file: csv.CSVWriter, schema: pa.Schema) -> None:
        self._file, self._schema = file, schema

    def write(self, batch: pa.RecordBatch) -> None:
        times = pc.strftime(batch.column("time").cast(pa.timestamp("s", tz="UTC")), format="%Y-%m-%dT%H:%M:%SZ")
        columns = [times if name == "time" else batch.column(name) for name in BARS.names]
        self._file.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
