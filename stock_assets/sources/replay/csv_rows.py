"""Reads a CSV file in chunks of text cells. Cells beyond the columns of the header, which pandas drops, are an error of
their line."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pandas.io.common import get_handle  # type: ignore[import-not-found]

from stock_assets.sources.replay.line_checks import InvalidLine

if TYPE_CHECKING:
    from _csv import Reader


def read_csv_chunks(path: Path, rows_a_chunk: int) -> Iterator[tuple[pd.DataFrame, dict[int, InvalidLine]]]:
    """Frames of text cells, indexed by line of the file (the header is line 1), without blank lines; and the lines with
    more or fewer cells than the header. At least one frame, which may be empty.

    Raises:
        FileNotFoundError: there is no such file.
        OSError, ValueError: the file can't be read, or is not text.
    """
    with get_handle(path, "r", encoding="utf-8-sig", compression="infer") as handles:
        lines = csv.reader(handles.handle, skipinitialspace=True)
        try:
            header = next(lines, None)
            if header is None:
                raise ValueError("it has no header")
            names = _column_names(header)
            width = max((n for n, cell in enumerate(header, start=1) if cell), default=0)
            yield from _chunks(lines, names, width, rows_a_chunk)
        except csv.Error as error:
            raise ValueError(f"line {lines.line_num}: {error}") from error


def _chunks(
    lines: "Reader", names: Sequence[str], width: int, rows_a_chunk: int
) -> Iterator[tuple[pd.DataFrame, dict[int, InvalidLine]]]:
    rows, numbers, invalid = list[list[str]](), list[int](), dict[int, InvalidLine]()
    is_first = True
    for cells in lines:
        if not any(cells):
            continue
        problem = _wrong_cell_count(lines.line_num, cells, names, width)
        if problem is not None:
            invalid[lines.line_num] = problem
        rows.append((cells + [""] * len(names))[: len(names)])
        numbers.append(lines.line_num)
        if len(rows) == rows_a_chunk:
            yield _frame(rows, numbers, names), invalid
            rows, numbers, invalid, is_first = [], [], {}, False
    if rows or is_first:
        yield _frame(rows, numbers, names), invalid


def _wrong_cell_count(line: int, cells: Sequence[str], names: Sequence[str], width: int) -> InvalidLine | None:
    """The problem where a line has too many or too few cells; empty cells at its end are ignored. `width` is the number
    of the header's columns up to the last one with a name."""
    surplus = [cell for cell in cells[len(names) :] if cell]
    if surplus:
        reason = (
            f"is followed by {', '.join(map(repr, surplus))}, for which the header has no column; "
            "put a number with commas in quotes"
        )
        return InvalidLine(line, names[-1], cells[len(names) - 1], reason)
    if len(cells) < width:
        return InvalidLine(line, names[len(cells)], "", f"is missing: {len(cells)} cells, and the header has {width}")
    return None


def _frame(rows: list[list[str]], numbers: list[int], names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names), index=numbers, dtype=object)


def _column_names(header: Sequence[str]) -> list[str]:
    """Unique names of all columns, also of those without a name, as pandas makes them."""
    names: list[str] = []
    for number, cell in enumerate(header):
        name = cell or f"Unnamed: {number}"
        count = 0
        while name in names:
            count += 1
            name = f"{cell}.{count}"
        names.append(name)
    return names
