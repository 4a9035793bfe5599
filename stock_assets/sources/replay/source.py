"""Recorded bars, published as fast as possible: the bundled daily bars, or a file of the user."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from threading import Event

import pandas as pd

from stock_assets.market.adjustment import CorporateAction
from stock_assets.market.bars import Bar
from stock_assets.market.companies import CompanyInfo
from stock_assets.pipeline.coverage import Coverage
from stock_assets.settings import IngestSettings
from stock_assets.sources.base import SourceBatch
from stock_assets.sources.known_companies import known_companies
from stock_assets.sources.replay.bar_file import BarFileError, FileLayout, check_timezone, parse_columns, read_chunks

BUNDLED_SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
_BARS_A_BATCH = 2_000


class ReplaySource:
    """Gives each bar of its files once."""

    def __init__(self, layouts: Sequence[FileLayout], origin: str) -> None:
        self._layouts = layouts
        self.origin = origin

    @classmethod
    def from_settings(cls, settings: IngestSettings) -> "ReplaySource":
        """Return the file that the settings name, else the bundled bars.

        Raises:
            BarFileError: there is no such file, or an option is invalid.
        """
        if settings.replay_file is None:
            folder = Path(str(resources.files("bokeh_sampledata"))) / "_data"
            layouts = [FileLayout(folder / f"{s}.csv", {}, symbol=s, interval="1d") for s in BUNDLED_SYMBOLS]
            return cls(layouts, f"bokeh_sampledata {version('bokeh_sampledata')}")
        path = settings.replay_file.expanduser().absolute()
        check_timezone(settings.replay_timezone)
        layout = FileLayout(
            path,
            parse_columns(settings.replay_columns),
            settings.replay_symbol,
            settings.replay_interval,
            settings.replay_timezone,
            settings.replay_skip_invalid,
        )
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise BarFileError(f"{path}: there is no such file") from None
        # The options are a part of the origin: in another time zone the same file has other bars.
        options = (settings.replay_columns, layout.symbol, layout.interval, layout.timezone, layout.skip_invalid)
        return cls([layout], f"{path.name}, {stat.st_size} bytes of {stat.st_mtime_ns}, read as {options}")

    @cached_property
    def symbols(self) -> Sequence[str]:
        """The symbols in the files. A file with a column of symbols is read completely, and so checked."""
        found: dict[str, None] = {}
        for layout in self._layouts:
            if layout.symbol:
                found[layout.symbol] = None
            else:
                for chunk in read_chunks(layout):
                    found.update(dict.fromkeys(chunk.bars["symbol"]))
        return tuple(found)

    def watched_rows(self, coverage: Sequence[Coverage], now: datetime) -> list[Coverage]:
        """Return the coverage whose origin is these files."""
        return [row for row in coverage if row.origin == self.origin]

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Return whether the end of the files has not been reached."""
        ours = self.watched_rows(coverage, now)
        return not ours or any(row.next_due is not None for row in ours)

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[SourceBatch]:
        """Check all files completely, then yield the bars that are not covered."""
        self.check()
        covered = {(row.symbol, row.interval): row for row in self.watched_rows(coverage, datetime.now(UTC))}
        for layout in self._layouts:
            for chunk in read_chunks(layout):
                if chunk.left_out:
                    yield SourceBatch([], [], [f"{layout.path}, {invalid}" for invalid in chunk.left_out])
                for begin in range(0, len(chunk.bars), _BARS_A_BATCH):
                    if stop.is_set():
                        return
                    bars = _bars(chunk.bars.iloc[begin : begin + _BARS_A_BATCH], covered)
                    covered.update({(bar.symbol, bar.interval): self._covered(bar) for bar in bars})
                    keys = {(bar.symbol, bar.interval) for bar in bars}
                    yield SourceBatch(bars, [covered[key] for key in keys])
        yield SourceBatch([], [self._at_end_of_file(row) for row in covered.values()])

    def check(self) -> int:
        """Read every file completely; returns how many lines will be left out.

        Raises:
            BarFileError: a file can't be used; the message describes the first problem.
        """
        return sum(len(chunk.left_out) for layout in self._layouts for chunk in read_chunks(layout))

    def bars_between(self, symbol: str, interval: str, begin: datetime, end: datetime) -> Sequence[Bar]:
        """Return the bars of a series from `begin` to before `end`."""
        found: list[Bar] = []
        for layout in self._layouts:
            if layout.symbol not in (None, symbol):
                continue
            for chunk in read_chunks(layout):
                rows = chunk.bars
                is_between = (rows["start"] >= begin) & (rows["start"] < end)
                ours = rows[(rows["symbol"] == symbol) & (rows["interval"] == interval) & is_between]
                found.extend(_bars(ours, {}))
        return found

    def companies(self, symbols: Sequence[str], now: datetime) -> Iterator[CompanyInfo]:
        """Return the built-in facts about the symbols."""
        return known_companies(symbols, now)

    def actions(self, symbols: Sequence[str], now: datetime) -> Iterator[Sequence[CorporateAction]]:
        """Nothing: the files have no splits and dividends."""
        return iter(())

    def _covered(self, bar: Bar) -> Coverage:
        return Coverage(bar.symbol, bar.interval, self.origin, bar.start, bar.start, "more to come", datetime.now(UTC))

    def _at_end_of_file(self, row: Coverage) -> Coverage:
        return Coverage(row.symbol, row.interval, self.origin, row.covered_until, row.newest_bar, "end of file", None)


def _bars(frame: pd.DataFrame, coverage: dict[tuple[str, str], Coverage]) -> list[Bar]:
    """The rows as bars, without those that are covered."""
    columns = (
        frame[name].tolist() for name in ("symbol", "interval", "start", "open", "high", "low", "close", "volume")
    )
    covered_until = {key: row.covered_until for key, row in coverage.items()}
    return [
        Bar(symbol, interval, start.to_pydatetime(), *prices)
        for symbol, interval, start, *prices in zip(*columns, strict=True)
        if (symbol, interval) not in covered_until or start > covered_until[symbol, interval]
    ]
