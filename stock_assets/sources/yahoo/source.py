"""Yahoo Finance as a source: each bar once it is final, and what is missing since the last run, within a rate limit."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TypeVar

from stock_assets.market.adjustment import CorporateAction
from stock_assets.market.bars import Bar, interval_length
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.symbols import exchange_of
from stock_assets.market.trading_hours import trading_day_at
from stock_assets.pipeline.coverage import EXTENDED_HOURS, Coverage
from stock_assets.pipeline.extended_hours import with_hours
from stock_assets.pipeline.fetch_planner import CORRECTION_PERIOD, BarRequest, plan_requests
from stock_assets.sources.base import FetchFailure, SourceBatch, SourceError, require_exchanges
from stock_assets.sources.yahoo.answers import AnswerHandler, left_out_text
from stock_assets.sources.yahoo.charts import Chart
from stock_assets.sources.yahoo.client import REQUESTS_A_COMPANY, YahooClient
from stock_assets.sources.yahoo.fetching import fetch_chart, fetch_within_limit, requests_for
from stock_assets.sources.yahoo.limits import LIMITS, require_interval
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.recent_bars import RecentBars
from stock_assets.sources.yahoo.request_pool import RequestPool

log = logging.getLogger("ingest")

ORIGIN = "Yahoo Finance"
# The producer runs this long before a bar is due; after a close it waits for the last request, ten minutes later.
LEAD = CORRECTION_PERIOD + timedelta(minutes=2)
_BEFORE_THE_OPEN = timedelta(minutes=5)  # also where bars come late, as Frankfurt's
_WATCHLIST_SECONDS = 5.0  # how soon a change of the watchlist is noticed
_ACTIONS_BACK = timedelta(days=400)  # Yahoo may add or correct a split or dividend late

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class YahooSource:
    """Bars of a watchlist. `batches` goes on while an exchange is open or something is missing."""

    watched: Callable[[], Sequence[str]]
    interval: str
    history: timedelta
    delay: timedelta
    client: YahooClient
    rate_limiter: RateLimiter
    now: Callable[[], datetime] = _now
    extended: bool = False  # bars before the open and after the close, too
    concurrency: int = 4  # requests in flight at once
    stored_splits: Callable[[], Iterable[CorporateAction]] = tuple
    recent_bars: RecentBars = field(default_factory=RecentBars)

    def __post_init__(self) -> None:
        require_interval(self.interval)
        self.extended = self.extended and interval_length(self.interval) is not None

    @property
    def origin(self) -> str:
        """Yahoo, and whether bars before the open and after the close are covered, too."""
        return ORIGIN + EXTENDED_HOURS if self.extended else ORIGIN

    @property
    def symbols(self) -> Sequence[str]:
        """The watchlist, as it is now."""
        return tuple(self.watched())

    def watched_rows(self, coverage: Sequence[Coverage], now: datetime) -> list[Coverage]:
        """A row for each symbol of the watchlist, in the interval in use."""
        rows = self._rows_by_symbol(coverage)
        begin = now - self.history
        return [
            rows.get(symbol) or Coverage(symbol, self.interval, self.origin, begin, None, "not asked yet", begin)
            for symbol in self.symbols
        ]

    def check(self) -> int:
        """Each symbol must have a calendar.

        Raises:
            SourceError: one has none.
        """
        require_exchanges(self.symbols)
        return 0

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Whether a market is open, or a bar is, or will soon be, due: the time for which `batches` goes on."""
        return self.pause(self._rows_by_symbol(coverage), now) is not None

    def pause(self, rows: Mapping[str, Coverage], now: datetime) -> timedelta | None:
        """The time until something is due; None where no exchange is open and nothing is due for a while."""
        symbols = self.symbols
        soonest = min((_next_due(rows.get(symbol), now) for symbol in symbols), default=None)
        if soonest is None:
            return None
        if soonest - now > LEAD and not any(self._trades(e, now) for e in set(map(exchange_of, symbols))):
            return None
        return max(soonest - now, timedelta(milliseconds=50))

    def bars_between(self, symbol: str, interval: str, begin: datetime, end: datetime) -> Sequence[Bar]:
        """What Yahoo has of a series from `begin` to before `end` now, as it was traded, within the rate limit.

        Raises:
            SourceError: Yahoo gives no usable answer, or no longer has bars of that time.
        """
        now = self.now()
        oldest = now - LIMITS[interval].history
        if begin < oldest:
            raise SourceError(f"{symbol}: Yahoo has {interval} bars since {oldest:%Y-%m-%d} only")
        self.recent_bars.add_splits(self.stored_splits())
        # With the end as its target it is a part of a history, for which later splits are requested too.
        request = BarRequest(symbol, interval, begin, end, target=end, extended=self.extended)

        def fetch() -> list[Bar]:
            return self.recent_bars.read(request, None, self._fetch_chart(request), self.delay, now)[0]

        bars = self._fetch(symbol, requests_for(request), fetch)
        if isinstance(bars, FetchFailure):
            raise SourceError(bars.why)
        return bars

    def companies(self, symbols: Sequence[str], now: datetime) -> Iterator[CompanyInfo | FetchFailure]:
        """What Yahoo knows of each symbol, or why it could not be had."""
        for symbol in symbols:
            yield self._fetch(symbol, REQUESTS_A_COMPANY, lambda symbol=symbol: self.client.company(symbol, now))  # type: ignore[misc]

    def actions(self, symbols: Sequence[str], now: datetime) -> Iterator[Sequence[CorporateAction] | FetchFailure]:
        """Each symbol's newest splits and dividends, or why they could not be had."""
        since = now - max(self.history, _ACTIONS_BACK)
        for symbol in symbols:
            yield self._fetch(symbol, 1, lambda symbol=symbol: self._fetch_actions(symbol, since, now))  # type: ignore[misc]

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[SourceBatch]:
        """Request what is due, several symbols at once, and wait for what is due next; end when nothing is due for a
        while. After `stop`, what is in flight is still given."""
        self.check()
        self._warn_of_a_low_rate_limit()
        self.recent_bars.add_splits(self.stored_splits())
        rows = self._rows_by_symbol(coverage)
        handler = AnswerHandler(self.origin, self.delay, self.recent_bars, self.rate_limiter)
        with RequestPool(self._fetch_chart, requests_for, self.rate_limiter, self.concurrency) as pool:
            while pool.symbols_in_flight or not stop.is_set():
                pause = 0.0 if stop.is_set() else self._send(pool, rows)
                wait_seconds = min(pause or _WATCHLIST_SECONDS, _WATCHLIST_SECONDS)
                if pool.symbols_in_flight:
                    completed = pool.completed(wait_seconds)
                    if completed:
                        batch = handler.handle(completed, rows, self.now())
                        rows.update({row.symbol: row for row in batch.coverage})
                        yield batch
                elif pool.has_queued:
                    stop.wait(wait_seconds)
                elif (idle := self.pause(rows, self.now())) is None:
                    return
                else:
                    stop.wait(min(idle.total_seconds(), _WATCHLIST_SECONDS))

    def _send(self, pool: RequestPool, rows: Mapping[str, Coverage]) -> float:
        """Plan what is due, where nothing is queued, and send what may be sent; the pause that the rate limiter
        demands, in seconds."""
        if not pool.has_queued:
            symbols = [symbol for symbol in self.symbols if symbol not in pool.symbols_in_flight]
            limits, now = LIMITS[self.interval], self.now()
            pool.enqueue(
                plan_requests(
                    symbols, self.interval, limits, self.history, self.delay, rows, now, extended=self.extended
                )
            )
        return pool.send()

    def _fetch(self, symbol: str, requests: int, fetch: Callable[[], T]) -> T | FetchFailure:
        return fetch_within_limit(self.rate_limiter, symbol, requests, fetch)

    def _fetch_chart(self, request: BarRequest) -> Chart:
        return fetch_chart(self.client, request, self.now())

    def _fetch_actions(self, symbol: str, since: datetime, now: datetime) -> list[CorporateAction]:
        daily = self.client.daily_chart(symbol, since, now)
        for event in daily.left_out:
            log.warning("left out: %s", left_out_text(symbol, event))
        return self.recent_bars.actions_as_declared(daily.actions, now)

    def _warn_of_a_low_rate_limit(self) -> None:
        length = interval_length(self.interval)
        needed = len(self.symbols) * timedelta(minutes=1) / length if length else 0
        if needed > self.rate_limiter.per_minute:
            log.warning(
                "%d symbols at %s need %.0f requests a minute, and YAHOO_REQUESTS_PER_MINUTE is %d: bars come late",
                len(self.symbols), self.interval, needed, self.rate_limiter.per_minute,
            )  # fmt: skip

    def _trades(self, exchange: str, now: datetime) -> bool:
        """Whether its trading day is on, or begins soon; a break at noon is part of it."""
        days = (trading_day_at(exchange, moment, extended=self.extended) for moment in (now, now + _BEFORE_THE_OPEN))
        return any(day.opened - _BEFORE_THE_OPEN <= now < day.closed for day in days)

    def _rows_by_symbol(self, coverage: Sequence[Coverage]) -> dict[str, Coverage]:
        """The rows of the interval in use, whichever hours they cover."""
        return {
            row.symbol: with_hours(row, self.delay, extended=self.extended)
            for row in coverage
            if row.origin.removesuffix(EXTENDED_HOURS) == ORIGIN and row.interval == self.interval
        }


def _next_due(row: Coverage | None, now: datetime) -> datetime:
    return row.next_due if row is not None and row.next_due is not None else now
