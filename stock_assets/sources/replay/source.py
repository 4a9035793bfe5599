"""Recorded bars, published as fast as they can be: the bundled real daily bars, or a file of the user's."""

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
    """Gives every bar of its files once."""

    def __init__(self, layouts: Sequence[FileLayout], origin: str) -> None:
        self._layouts = layouts
        self.origin = origin

    @classmethod
    def from_settings(cls, settings: IngestSettings) -> "ReplaySource":
        """The file that the settings name, else the bundled bars.

        Raises:
            BarFileError: there is no such file, or its options make no sense.
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
        # Options belong to the origin: the same file read in another time zone gives other bars.
        options = (settings.replay_columns, layout.symbol, layout.interval, layout.timezone, layout.skip_invalid)
        return cls([layout], f"{path.name}, {stat.st_size} bytes of {stat.st_mtime_ns}, read as {options}")

    @cached_property
    def symbols(self) -> Sequence[str]:
        """The symbols in the files: reads them whole where a file has a column of symbols, and so checks them."""
        found: dict[str, None] = {}
        for layout in self._layouts:
            if layout.symbol:
                found[layout.symbol] = None
            else:
                for piece in read_chunks(layout):
                    found.update(dict.fromkeys(piece.bars["symbol"]))
        return tuple(found)

    def watched_rows(self, coverage: Sequence[Coverage], now: datetime) -> list[Coverage]:
        """What came from these very files."""
        return [row for row in coverage if row.origin == self.origin]

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Until the end of the files was reached."""
        ours = self.watched_rows(coverage, now)
        return not ours or any(row.next_due is not None for row in ours)

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[SourceBatch]:
        """Check the files whole, then give what is not covered."""
        self.check()
        given = {(row.symbol, row.interval): row for row in self.watched_rows(coverage, datetime.now(UTC))}
        for layout in self._layouts:
            for piece in read_chunks(layout):
                if piece.left_out:
                    yield SourceBatch([], [], [f"{layout.path}, {refusal}" for refusal in piece.left_out])
                for begin in range(0, len(piece.bars), _BARS_A_BATCH):
                    if stop.is_set():
                        return
                    bars = _bars(piece.bars.iloc[begin : begin + _BARS_A_BATCH], given)
                    given.update({(bar.symbol, bar.interval): self._covered(bar) for bar in bars})
                    keys = {(bar.symbol, bar.interval) for bar in bars}
                    yield SourceBatch(bars, [given[key] for key in keys])
        yield SourceBatch([], [self._at_its_end(row) for row in given.values()])

    def check(self) -> int:
        """Read every file whole; returns how many lines will be left out.

        Raises:
            BarFileError: the first thing that is wrong.
        """
        return sum(len(piece.left_out) for layout in self._layouts for piece in read_chunks(layout))

    def bars_between(self, symbol: str, interval: str, begin: datetime, end: datetime) -> Sequence[Bar]:
        """What the files have of a series from `begin` to before `end`."""
        found: list[Bar] = []
        for layout in self._layouts:
            if layout.symbol not in (None, symbol):
                continue
            for piece in read_chunks(layout):
                rows = piece.bars
                lies_in = (rows["start"] >= begin) & (rows["start"] < end)
                ours = rows[(rows["symbol"] == symbol) & (rows["interval"] == interval) & lies_in]
                found.extend(_bars(ours, {}))
        return found

    def companies(self, symbols: Sequence[str], now: datetime) -> Iterator[CompanyInfo]:
        """What is known of the symbols without asking anyone."""
        return known_companies(symbols, now)

    def actions(self, symbols: Sequence[str], now: datetime) -> Iterator[Sequence[CorporateAction]]:
        """None: nobody says."""
        return iter(())

    def _covered(self, bar: Bar) -> Coverage:
        return Coverage(bar.symbol, bar.interval, self.origin, bar.start, bar.start, "more to come", datetime.now(UTC))

    def _at_its_end(self, row: Coverage) -> Coverage:
        return Coverage(row.symbol, row.interval, self.origin, row.covered_until, row.newest_bar, "end of file", None)


def _bars(frame: pd.DataFrame, given: dict[tuple[str, str], Coverage]) -> list[Bar]:
    """The rows as bars, without those that are covered."""
    columns = (
        frame[name].tolist() for name in ("symbol", "interval", "start", "open", "high", "low", "close", "volume")
    )
    covered = {key: row.covered_until for key, row in given.items()}
    return [
        Bar(symbol, interval, start.to_pydatetime(), *prices)
        for symbol, interval, start, *prices in zip(*columns, strict=True)
        if (symbol, interval) not in covered or start > covered[symbol, interval]
    ]
