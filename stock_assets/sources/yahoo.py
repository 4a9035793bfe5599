"""Yahoo Finance: each bar once it is final, and what is missing since the last time, at a bearable rate."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event

from stock_assets.market.bars import Bar, CompanyInfo
from stock_assets.market.cadence import SETTLED, Request, Sold, next_final, requests_due
from stock_assets.market.calendars import delay_of, exchange_of, is_open
from stock_assets.market.coverage import Coverage
from stock_assets.sources.protocol import Batch, SourceError, demand_exchanges
from stock_assets.sources.yahoo_client import (
    EmptyAnswerError,
    RateLimitedError,
    UnknownSymbolError,
    YahooClient,
    YahooError,
)

log = logging.getLogger("ingest")

ORIGIN = "Yahoo Finance"
LEAD = timedelta(minutes=5)  # the producer is up so long before a bar is due
LONGEST_REST = timedelta(days=1)  # of a symbol that Yahoo doesn't know
_REMEMBERED = 64  # bars of a symbol, to tell which ones Yahoo has corrected since
LONGEST_HOLD = timedelta(minutes=15)

# What Yahoo sells of each interval: yfinance 1.7's documentation of `history`.
_SOLD = {
    "1m": Sold(timedelta(days=30), timedelta(days=7)),
    "2m": Sold(timedelta(days=60), timedelta(days=59)),
    "5m": Sold(timedelta(days=60), timedelta(days=59)),
    "15m": Sold(timedelta(days=60), timedelta(days=59)),
    "1h": Sold(timedelta(days=730), timedelta(days=729)),
    "1d": Sold(timedelta(days=365 * 60), timedelta(days=365 * 60)),
}


def demand_interval(interval: str) -> None:
    """Raise SourceError where Yahoo has no bars of the interval."""
    if interval not in _SOLD:
        raise SourceError(f"BAR_INTERVAL={interval}: Yahoo has no such bars; it has {', '.join(_SOLD)}")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Manners:
    """How often Yahoo may be asked, and how long it wants to be left alone."""

    per_minute: int
    held_until: float = 0.0  # by the monotonic clock
    refusals: int = 0
    _next: float = 0.0

    def wait(self, stop: Event) -> bool:
        """Wait for the turn of the next request, spread over the minute with jitter; False where `stop` came."""
        pause = max(self._next, self.held_until) - time.monotonic()
        if pause > 0 and stop.wait(pause):
            return False
        spacing = 60 / self.per_minute
        self._next = time.monotonic() + spacing * random.uniform(0.7, 1.3)  # noqa: S311 - no secret
        return not stop.is_set()

    def refused(self) -> timedelta:
        """Hold back everything, twice as long each time; returns for how long."""
        self.refusals += 1
        hold = min(timedelta(seconds=30) * (1 << min(self.refusals - 1, 10)), LONGEST_HOLD)
        self.held_until = time.monotonic() + hold.total_seconds()
        return hold

    def answered(self) -> None:
        """All is well again."""
        self.refusals = 0


@dataclass
class YahooSource:
    """Bars of a watchlist. Lives while an exchange is open or something is missing."""

    watched: Callable[[], Sequence[str]]
    interval: str
    history: timedelta
    delay: timedelta
    client: YahooClient
    manners: Manners
    now: Callable[[], datetime] = _now
    origin: str = ORIGIN
    _failures: dict[str, int] = field(default_factory=dict)
    _given: dict[str, dict[datetime, Bar]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        demand_interval(self.interval)

    @property
    def symbols(self) -> Sequence[str]:
        """The watchlist, as it is now."""
        return tuple(self.watched())

    def watched_rows(self, coverage: Sequence[Coverage], now: datetime) -> list[Coverage]:
        """A row for each symbol of the watchlist, in the interval in use."""
        known = self._known(coverage)
        begin = now - self.history
        return [
            known.get(symbol) or Coverage(symbol, self.interval, self.origin, begin, None, "not asked yet", begin)
            for symbol in self.symbols
        ]

    def check(self) -> int:
        """Each symbol must have a calendar.

        Raises:
            SourceError: one has none.
        """
        demand_exchanges(self.symbols)
        return 0

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Whether a market is open, or a bar is, or will soon be, due: the time for which `batches` goes on."""
        return self.pause(self._known(coverage), now) is not None

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[Batch]:
        """Ask for what is due, wait for what comes next; end when nothing comes for a while."""
        self.check()
        known = self._known(coverage)
        while not stop.is_set():
            now, symbols = self.now(), self.symbols
            due = requests_due(symbols, self.interval, _SOLD[self.interval], self.history, self.delay, known, now)
            for request in due:
                if not self.manners.wait(stop):
                    return
                batch = self._ask(request, known.get(request.symbol))
                known.update({row.symbol: row for row in batch.coverage})
                yield batch
            if due:
                continue
            pause = self.pause(known, self.now())
            if pause is None:
                return
            stop.wait(min(pause.total_seconds(), 5))

    def pause(self, known: Mapping[str, Coverage], now: datetime) -> timedelta | None:
        """How long until something is due; None where no exchange is open and nothing comes for a while."""
        symbols = self.symbols
        soonest = min((self._next(symbol, known.get(symbol), now) for symbol in symbols), default=None)
        if soonest is None:
            return None
        if soonest - now > LEAD and not any(is_open(exchange_of(symbol), now) for symbol in symbols):
            return None
        return max(soonest - now, timedelta(milliseconds=50))

    def companies(self, now: datetime) -> Iterator[CompanyInfo]:
        """What Yahoo knows of each symbol; one symbol's failure costs no other's row."""
        failed, symbols = [], self.symbols
        for symbol in symbols:
            self.manners.wait(Event())
            try:
                yield self.client.company(symbol, now)
            except YahooError as error:
                failed.append(str(error))
                if isinstance(error, RateLimitedError):
                    self.manners.refused()
        if failed:
            raise SourceError(f"{len(failed)} of {len(symbols)} companies failed: " + "; ".join(failed))

    def _known(self, coverage: Sequence[Coverage]) -> dict[str, Coverage]:
        return {row.symbol: row for row in coverage if row.origin == self.origin and row.interval == self.interval}

    def _next(self, symbol: str, row: Coverage | None, now: datetime) -> datetime:
        return row.next_due if row is not None and row.next_due is not None else now

    def _ask(self, request: Request, before: Coverage | None) -> Batch:
        try:
            bars = self.client.bars(request)
            if not bars and before is None:
                raise EmptyAnswerError(f"{request.symbol}: no bar since {request.begin:%Y-%m-%d}")
        except YahooError as error:
            return Batch([], [self._after_failure(request, before, error)])
        self.manners.answered()
        self._failures.pop(request.symbol, None)
        given = self._given.get(request.symbol, {})
        fresh = [bar for bar in bars if given.get(bar.start) != bar]
        self._remember(request.symbol, bars)
        return Batch(fresh, [self._after_answer(request, before, bars)])

    def _remember(self, symbol: str, bars: Sequence[Bar]) -> None:
        """Keep a symbol's newest bars, so that only those that Yahoo has corrected are published again."""
        self._given[symbol] = {bar.start: bar for bar in bars[-_REMEMBERED:]}

    def _after_answer(self, request: Request, before: Coverage | None, bars: Sequence[Bar]) -> Coverage:
        now, exchange = self.now(), exchange_of(request.symbol)
        newest = max(
            [bar.start for bar in bars] + ([before.newest_bar] if before and before.newest_bar else []), default=None
        )
        answer = f"{len(bars)} bars"
        if request.lost:
            answer += f"; not sold any more: since {request.lost:%Y-%m-%d %H:%MZ}"
            log.warning("%s: %s", request.symbol, answer)
        if request.end <= request.target:  # a part of a long history: the next one at once
            return Coverage(request.symbol, self.interval, self.origin, request.end, newest, answer, now)
        # What Yahoo doesn't have now, it may have in a few minutes: later requests overlap, and after the close there
        # is one more.
        due = next_final(exchange, self.interval, self.delay, now)
        settled = request.end + self.delay + delay_of(exchange) + SETTLED
        if now < settled < due:
            due = settled
        return Coverage(request.symbol, self.interval, self.origin, request.target, newest, answer, due)

    def _after_failure(self, request: Request, before: Coverage | None, error: YahooError) -> Coverage:
        times = self._failures[request.symbol] = self._failures.get(request.symbol, 0) + 1
        now = self.now()
        if isinstance(error, RateLimitedError):
            due = now + self.manners.refused()
        elif isinstance(error, UnknownSymbolError):
            due = now + min(timedelta(minutes=10) * (1 << min(times - 1, 10)), LONGEST_REST)
        else:
            due = now + min(timedelta(seconds=10) * (1 << min(times - 1, 10)), LONGEST_REST / 24)
        log.warning("%s (%s): asked again at %s", error, error.kind, f"{due:%H:%M:%SZ}")
        row = before or Coverage(request.symbol, self.interval, self.origin, request.begin, None, "", None)
        return replace(row, last_answer=f"{error.kind}: {error}", next_due=due)
