"""A seeded random walk, which is no market data: one bar a second for any symbols, at all hours."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from threading import Event
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stock_assets.market.adjustment import CorporateAction
from stock_assets.market.bars import Bar
from stock_assets.market.companies import CompanyInfo
from stock_assets.pipeline.coverage import Coverage
from stock_assets.sources.base import SourceBatch, require_exchanges
from stock_assets.sources.known_companies import known_companies

INTERVAL = "1s"
_SECOND = timedelta(seconds=1)
_SECONDS_A_DAY = 86_400
_DAILY_VOLATILITY = 0.02
_BARS_A_BATCH = 5_000


class SimulatedSource:
    """A price depends on seed, symbol and second alone, so missed bars can be given later."""

    def __init__(self, symbols: Sequence[str], seed: int, begin: datetime, bars: int | None) -> None:
        """Begin at `begin` (aware) and end after `bars` bars of each symbol; None: never."""
        self._symbols = tuple(symbols)
        self._seed = seed
        self._begin = begin.astimezone(UTC).replace(microsecond=0)
        self._end = self._begin + bars * _SECOND if bars is not None else None
        self.origin = f"seed {seed} from {self._begin:%Y-%m-%dT%H:%M:%SZ}" + (
            f", {bars} bars" if bars is not None else ""
        )

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols of the settings."""
        return self._symbols

    def check(self) -> int:
        """Check that the exchange of each symbol is known; returns 0: nothing is left out.

        Raises:
            SourceError: the exchange of a symbol is not known.
        """
        require_exchanges(self._symbols)
        return 0

    def watched_rows(self, coverage: Sequence[Coverage], now: datetime) -> list[Coverage]:
        """Return the coverage of each symbol, with a new row for a symbol that has none of this simulation."""
        rows = {row.symbol: row for row in coverage if row.origin == self.origin}
        before = self._begin - _SECOND
        return [
            rows.get(symbol) or Coverage(symbol, INTERVAL, self.origin, before, None, "nothing yet", self._begin)
            for symbol in self._symbols
        ]

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Return whether the end is not reached; always true if there is none."""
        return any(row.next_due is not None for row in self.watched_rows(coverage, now))

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[SourceBatch]:
        """Yield all missed bars at once, then a bar of each symbol each second."""
        covered = {row.symbol: row.covered_until for row in self.watched_rows(coverage, self._begin)}
        before_begin = self._begin - _SECOND
        after = min((covered.get(symbol, before_begin) for symbol in self._symbols), default=before_begin)
        step = max(1, _BARS_A_BATCH // max(1, len(self._symbols)))
        while not stop.is_set() and (self._end is None or after + _SECOND < self._end):
            newest = _last_second(datetime.now(UTC))
            if newest <= after:
                stop.wait((after + 2 * _SECOND - datetime.now(UTC)).total_seconds())
                continue
            until = min(newest, after + step * _SECOND, *([self._end - _SECOND] if self._end else []))
            yield self._batch(after + _SECOND, until)
            after = until

    def bars_between(self, symbol: str, interval: str, begin: datetime, end: datetime) -> Sequence[Bar]:
        """Return the bars from `begin` to before `end`, the same each time; none before the start or after the end."""
        if interval != INTERVAL or symbol not in self._symbols:
            return []
        first = max(begin.astimezone(UTC), self._begin)
        last = min(end.astimezone(UTC) - _SECOND, _last_second(datetime.now(UTC)))
        if self._end is not None:
            last = min(last, self._end - _SECOND)
        return [self.bar(symbol, first + n * _SECOND) for n in range(int((last - first).total_seconds()) + 1)]

    def companies(self, symbols: Sequence[str], now: datetime) -> Iterator[CompanyInfo]:
        """Return the built-in facts about the symbols."""
        return known_companies(symbols, now)

    def actions(self, symbols: Sequence[str], now: datetime) -> Iterator[Sequence[CorporateAction]]:
        """Nothing: a simulation has no splits and dividends."""
        return iter(())

    def _batch(self, begin: datetime, until: datetime) -> SourceBatch:
        seconds = [begin + n * _SECOND for n in range(int((until - begin).total_seconds()) + 1)]
        ended = self._end is not None and until + _SECOND >= self._end
        next_due = None if ended else until + 2 * _SECOND
        return SourceBatch(
            bars=[self.bar(symbol, second) for second in seconds for symbol in self._symbols],
            coverage=[
                Coverage(symbol, INTERVAL, self.origin, until, until, "simulated", next_due) for symbol in self._symbols
            ],
        )

    def bar(self, symbol: str, start: datetime) -> Bar:
        """Return the bar of one second."""
        prices, volumes = _hour(self._seed, symbol, start.replace(minute=0, second=0))
        second = start.minute * 60 + start.second
        opened, closed = float(prices[second]), float(prices[second + 1])
        wick = abs(closed - opened) / 2
        return Bar(
            symbol,
            INTERVAL,
            start,
            open=round(opened, 4),
            high=round(max(opened, closed) + wick, 4),
            low=round(min(opened, closed) - wick, 4),
            close=round(closed, 4),
            volume=int(volumes[second]),
        )

    def volume_since_midnight(self, symbol: str, start: datetime) -> int:
        """Return the volume of all bars of the UTC day before `start`, in shares."""
        hour = start.replace(minute=0, second=0)
        _, volumes = _hour(self._seed, symbol, hour)
        return _volume_before(self._seed, symbol, hour) + int(volumes[: start.minute * 60 + start.second].sum())


def _last_second(now: datetime) -> datetime:
    """The start of the newest second that is over."""
    return now.replace(microsecond=0) - _SECOND


@lru_cache(maxsize=2048)
def _hour(seed: int, symbol: str, begin: datetime) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """An hour's 3,601 prices, at the ends of its seconds, and 3,600 volumes: a walk between two of the day's knots."""
    knots = _knots(seed, symbol, begin.date())
    generator = np.random.default_rng([seed, crc32(symbol.encode()), int(begin.timestamp())])
    walk = _bridge(generator, 3600, _DAILY_VOLATILITY / _SECONDS_A_DAY**0.5)
    trend = np.linspace(knots[begin.hour], knots[begin.hour + 1], 3601)
    base = 20 + crc32(symbol.encode()) % 480
    return base * np.exp(trend + walk), generator.integers(1, 2_000, 3600)


@lru_cache(maxsize=2048)
def _volume_before(seed: int, symbol: str, hour: datetime) -> int:
    """The volume of all hours of the day before `hour`, in shares."""
    return sum(int(_hour(seed, symbol, hour.replace(hour=before))[1].sum()) for before in range(hour.hour))


@lru_cache(maxsize=2048)
def _knots(seed: int, symbol: str, day: date) -> NDArray[np.float64]:
    """The logarithms of a day's prices, relative to the base, at its 25 full hours; each day begins and ends at 0."""
    generator = np.random.default_rng([seed, crc32(symbol.encode()), day.toordinal()])
    return _bridge(generator, 24, _DAILY_VOLATILITY / 24**0.5)


def _bridge(generator: np.random.Generator, steps: int, volatility: float) -> NDArray[np.float64]:
    """A random walk of `steps` steps that returns to zero (a Brownian bridge): `steps + 1` values."""
    walk = np.concatenate([[0.0], np.cumsum(generator.normal(0, volatility, steps))])
    bridge: NDArray[np.float64] = walk - np.linspace(0, 1, steps + 1) * walk[-1]
    return bridge
