"""Yahoo Finance as a source: gives each bar once it is final, and all missing bars, within the rate limit."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import TypeVar

from spark_streaming.contract import clock
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
# How long before a due time the producer runs. It is longer than the time from a close to the session's last request.
START_LEAD = CORRECTION_PERIOD + timedelta(minutes=2)
_BEFORE_THE_OPEN = timedelta(minutes=5)  # the producer runs from then on, also where bars are delayed, as in Frankfurt
_WATCHLIST_SECONDS = 5.0  # the longest wait before the watchlist is read again
_ACTIONS_BACK = timedelta(days=400)  # Yahoo may add or correct a split or dividend late

T = TypeVar("T")


@dataclass
class YahooSource:
    """Bars of a watchlist. `batches` runs while an exchange is open or bars are missing."""

    watched: Callable[[], Sequence[str]]
    interval: str
    history: timedelta
    delay: timedelta
    client: YahooClient
    rate_limiter: RateLimiter
    now: Callable[[], datetime] = clock.now
    extended: bool = False  # with bars before the open and after the close
    concurrency: int = 4  # requests in flight at once
    stored_splits: Callable[[], Iterable[CorporateAction]] = tuple
    recent_bars: RecentBars = field(default_factory=RecentBars)

    def __post_init__(self) -> None:
        require_interval(self.interval)
        self.extended = self.extended and interval_length(self.interval) is not None

    @property
    def origin(self) -> str:
        """Yahoo, with a suffix if bars before the open and after the close are covered too."""
        return ORIGIN + EXTENDED_HOURS if self.extended else ORIGIN

    @property
    def symbols(self) -> Sequence[str]:
        """The current watchlist."""
        return tuple(self.watched())

    def watched_rows(self, coverage: Sequence[Coverage], now: datetime) -> list[Coverage]:
        """Return the coverage of each watched symbol in the current interval, with a new row where there is none."""
        rows = self._rows_by_symbol(coverage)
        begin = now - self.history
        return [
            rows.get(symbol) or Coverage(symbol, self.interval, self.origin, begin, None, "not asked yet", begin)
            for symbol in self.symbols
        ]

    def check(self) -> int:
        """Check that the exchange of each symbol is known; returns 0: nothing is left out.

        Raises:
            SourceError: the exchange of a symbol is not known.
        """
        require_exchanges(self.symbols)
        return 0

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Return whether a market is open, or a bar is due now or soon; as long as it is true, `batches` runs."""
        return self.pause(self._rows_by_symbol(coverage), now) is not None

    def pause(self, rows: Mapping[str, Coverage], now: datetime) -> timedelta | None:
        """Return the time until a request is due; None if no exchange is open and none is due within `START_LEAD`."""
        symbols = self.symbols
        soonest = min((_next_due(rows.get(symbol), now) for symbol in symbols), default=None)
        if soonest is None:
            return None
        if soonest - now > START_LEAD and not any(self._trades(e, now) for e in set(map(exchange_of, symbols))):
            return None
        return max(soonest - now, timedelta(milliseconds=50))

    def bars_between(self, symbol: str, interval: str, begin: datetime, end: datetime) -> Sequence[Bar]:
        """Yahoo's current bars of a series from `begin` to before `end`, as traded, fetched within the rate limit.

        Raises:
            SourceError: Yahoo gives no usable answer, or no longer has bars of that time.
        """
        now = self.now()
        oldest = now - LIMITS[interval].history
        if begin < oldest:
            raise SourceError(f"{symbol}: Yahoo has {interval} bars since {oldest:%Y-%m-%d} only")
        self.recent_bars.add_splits(self.stored_splits())
        # A request whose target is its end is a part of a history, for which later splits are fetched too.
        request = BarRequest(symbol, interval, begin, end, target=end, extended=self.extended)

        def fetch() -> list[Bar]:
            return self.recent_bars.read(request, None, self._fetch_chart(request), self.delay, now)[0]

        bars = self._fetch(symbol, requests_for(request), fetch)
        if isinstance(bars, FetchFailure):
            raise SourceError(bars.reason)
        return bars

    def companies(self, symbols: Sequence[str], now: datetime) -> Iterator[CompanyInfo | FetchFailure]:
        """Yahoo's facts about each symbol, or why the fetch failed."""
        for symbol in symbols:
            yield self._fetch(symbol, REQUESTS_A_COMPANY, lambda symbol=symbol: self.client.company(symbol, now))  # type: ignore[misc]

    def actions(self, symbols: Sequence[str], now: datetime) -> Iterator[Sequence[CorporateAction] | FetchFailure]:
        """Yield each symbol's newest splits and dividends, or why the fetch failed."""
        since = now - max(self.history, _ACTIONS_BACK)
        for symbol in symbols:
            yield self._fetch(symbol, 1, lambda symbol=symbol: self._fetch_actions(symbol, since, now))  # type: ignore[misc]

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[SourceBatch]:
        """Send due requests, for several symbols at once, and wait for the next ones; ends when `pause` is None. After
        `stop` the answers to requests in flight are still yielded."""
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
        """Queue the due requests, if the queue is empty, and send as many as allowed; returns the seconds that the rate
        limiter demands before the next one."""
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
                "%d symbols at %s need %.0f requests a minute, and YAHOO_REQUESTS_PER_MINUTE is %d: bars will be late",
                len(self.symbols), self.interval, needed, self.rate_limiter.per_minute,
            )  # fmt: skip

    def _trades(self, exchange: str, now: datetime) -> bool:
        """Whether its trading day, including a break at noon, is under way or begins soon."""
        days = (trading_day_at(exchange, moment, extended=self.extended) for moment in (now, now + _BEFORE_THE_OPEN))
        return any(day.opened - _BEFORE_THE_OPEN <= now < day.closed for day in days)

    def _rows_by_symbol(self, coverage: Sequence[Coverage]) -> dict[str, Coverage]:
        """The rows of the current interval, with regular or extended hours."""
        return {
            row.symbol: with_hours(row, self.delay, extended=self.extended)
            for row in coverage
            if row.origin.removesuffix(EXTENDED_HOURS) == ORIGIN and row.interval == self.interval
        }


def _next_due(row: Coverage | None, now: datetime) -> datetime:
    return row.next_due if row is not None and row.next_due is not None else now
