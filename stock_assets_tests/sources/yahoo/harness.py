"""Runs a source yahoo against the tests' server, at the time that a test sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from stock_assets.market.bars import Bar
from stock_assets.pipeline.coverage import Coverage
from stock_assets.sources.base import SourceBatch
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.source import YahooSource
from stock_assets_tests.services.yahoo import YahooServer

FRIDAY_EVENING = datetime(2026, 11, 20, 23, tzinfo=UTC)  # New York has been closed for two hours
LAST_BAR = datetime(2026, 11, 20, 20, 58, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that a test sets."""

    time: datetime

    def __call__(self) -> datetime:
        return self.time


class SourceHarness:
    """A source of some symbols, and the batches, coverage and answers that it has given."""

    def __init__(self, server: YahooServer, folder: Path, *symbols: str) -> None:
        self.clock = Clock(FRIDAY_EVENING)
        server.market.now = self.clock
        self.source = YahooSource(
            watched=lambda: symbols,
            interval="2m",
            history=timedelta(days=2),
            delay=timedelta(seconds=15),
            client=YahooClient(folder, server.session, timeout_seconds=2),
            rate_limiter=RateLimiter(folder / "turns.json", per_minute=60_000),
            now=self.clock,
        )
        self.coverage: dict[str, Coverage] = {}
        self.answers = Counter[str]()
        self.batches: list[SourceBatch] = []

    def run_until_idle(self) -> list[Bar]:
        """All bars that it gives until it would wait or end."""
        bars: list[Bar] = []
        stop = Event()
        for batch in self.source.batches(list(self.coverage.values()), stop):
            bars.extend(self._record(batch))
            pause = self.source.pause(self.coverage, self.clock())
            if pause is None or pause > timedelta(seconds=1):
                stop.set()
        return bars

    def _record(self, batch: SourceBatch) -> Sequence[Bar]:
        self.batches.append(batch)
        self.coverage.update({row.symbol: row for row in batch.coverage})
        self.answers.update(batch.answers)
        return batch.bars

    def run_once(self, time: datetime) -> list[Bar]:
        """The bars of one request for each symbol at `time`."""
        self.clock.time, stop = time, Event()
        bars: list[Bar] = []
        remaining = set(self.source.symbols)
        for batch in self.source.batches(list(self.coverage.values()), stop):
            bars.extend(self._record(batch))
            remaining -= {row.symbol for row in batch.coverage}
            if not remaining:
                stop.set()
        return bars
