"""Yahoo Finance: each bar once it is final, and what is missing since the last time, at a bearable rate."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TypeVar

from stock_assets.market.adjustment import CorporateAction
from stock_assets.market.bars import Bar, interval_length
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.symbols import exchange_of
from stock_assets.market.trading_hours import trading_day_at
from stock_assets.pipeline.coverage import EXTENDED_HOURS, UNKNOWN_SYMBOL, Coverage
from stock_assets.pipeline.coverage_updates import (
    after_answer,
    after_failure,
    is_suspiciously_empty,
    permanent_gap,
    retry_delay,
)
from stock_assets.pipeline.extended_hours import uncovered, with_hours
from stock_assets.pipeline.fetch_planner import CORRECTION_PERIOD, BarRequest, SourceLimits, plan_requests
from stock_assets.sources.base import FetchFailure, SourceBatch, SourceError, require_exchanges
from stock_assets.sources.yahoo.charts import Chart
from stock_assets.sources.yahoo.client import REQUESTS_A_COMPANY, YahooClient
from stock_assets.sources.yahoo.errors import AnswerKind, YahooError
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.recent_bars import RecentBars

log = logging.getLogger("ingest")

ORIGIN = "Yahoo Finance"
# The producer is up so long before a bar is due; after a close it stays for the last look, ten minutes later.
LEAD = CORRECTION_PERIOD + timedelta(minutes=2)
_BEFORE_THE_OPEN = timedelta(minutes=5)  # also where bars come late, as Frankfurt's
_LOOK_SECONDS = 5.0  # the watchlist may have changed
_ACTIONS_BACK = timedelta(days=400)  # Yahoo may add or correct a split or dividend late

# What Yahoo sells of each interval: yfinance 1.7's documentation of `history`.
_LIMITS = {
    "1m": SourceLimits(timedelta(days=30), timedelta(days=7)),
    "2m": SourceLimits(timedelta(days=60), timedelta(days=59)),
    "5m": SourceLimits(timedelta(days=60), timedelta(days=59)),
    "15m": SourceLimits(timedelta(days=60), timedelta(days=59)),
    "1h": SourceLimits(timedelta(days=730), timedelta(days=729)),
    "1d": SourceLimits(timedelta(days=365 * 60), timedelta(days=365 * 60)),
}

T = TypeVar("T")


def require_interval(interval: str) -> None:
    """Raise SourceError where Yahoo has no bars of the interval."""
    if interval not in _LIMITS:
        raise SourceError(f"BAR_INTERVAL={interval}: Yahoo has no such bars; it has {', '.join(_LIMITS)}")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class YahooSource:
    """Bars of a watchlist. Lives while an exchange is open or something is missing."""

    watched: Callable[[], Sequence[str]]
    interval: str
    history: timedelta
    delay: timedelta
    client: YahooClient
    rate_limiter: RateLimiter
    now: Callable[[], datetime] = _now
    extended: bool = False  # bars before the open and after the close, too
    concurrency: int = 4  # requests that are under way at once
    known_splits: Callable[[], Iterable[CorporateAction]] = tuple
    _memory: RecentBars = field(default_factory=RecentBars)

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
        require_exchanges(self.symbols)
        return 0

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Whether a market is open, or a bar is, or will soon be, due: the time for which `batches` goes on."""
        return self.pause(self._known(coverage), now) is not None

    def pause(self, known: Mapping[str, Coverage], now: datetime) -> timedelta | None:
        """How long until something is due; None where no exchange is open and nothing comes for a while."""
        symbols = self.symbols
        soonest = min((_next_due(known.get(symbol), now) for symbol in symbols), default=None)
        if soonest is None:
            return None
        if soonest - now > LEAD and not any(self._trades(e, now) for e in set(map(exchange_of, symbols))):
            return None
        return max(soonest - now, timedelta(milliseconds=50))

    def bars_between(self, symbol: str, interval: str, begin: datetime, end: datetime) -> Sequence[Bar]:
        """What Yahoo has of a series from `begin` to before `end` now, as it was traded, in its turn among the others.

        Raises:
            SourceError: Yahoo refuses, or no longer sells bars of that time.
        """
        now = self.now()
        oldest = now - _LIMITS[interval].history
        if begin < oldest:
            raise SourceError(f"{symbol}: Yahoo sells {interval} bars since {oldest:%Y-%m-%d} only")
        self._memory.learn(self.known_splits())
        request = BarRequest(
            symbol, interval, begin, end, target=end, extended=self.extended
        )  # as a part: splits since then are asked for
        found = self._one(symbol, 2, lambda: self._chart(request))
        if isinstance(found, FetchFailure):
            raise SourceError(found.why)
        self._memory.learn(found.actions)
        return self._memory.fresh(request, None, found, self.delay, now)

    def companies(self, symbols: Sequence[str], now: datetime) -> Iterator[CompanyInfo | FetchFailure]:
        """What Yahoo knows of each symbol, or why it could not be had."""
        for symbol in symbols:
            yield self._one(symbol, REQUESTS_A_COMPANY, lambda symbol=symbol: self.client.company(symbol, now))  # type: ignore[misc]

    def actions(self, symbols: Sequence[str], now: datetime) -> Iterator[Sequence[CorporateAction] | FetchFailure]:
        """Each symbol's newest splits and dividends, or why they could not be had."""
        since = now - max(self.history, _ACTIONS_BACK)
        for symbol in symbols:
            found = self._one(symbol, 1, lambda symbol=symbol: self.client.actions(symbol, since, now))  # type: ignore[misc]
            yield found if isinstance(found, FetchFailure) else self._memory.declared(found, now)

    def _one(self, symbol: str, requests: int, ask: Callable[[], T]) -> T | FetchFailure:
        self.rate_limiter.acquire(Event(), requests)
        try:
            found = ask()
        except YahooError as error:
            if error.kind is AnswerKind.RATE_LIMITED:
                self.rate_limiter.back_off()
            return FetchFailure(symbol, error.kind, str(error), is_final=error.kind is AnswerKind.UNKNOWN_SYMBOL)
        self.rate_limiter.report_success()
        return found

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[SourceBatch]:
        """Ask for what is due, some requests side by side, and wait for what comes next; end when nothing comes for a
        while. After `stop`, what is under way is still given."""
        self.check()
        self._warn_of_a_small_budget()
        self._memory.learn(self.known_splits())
        known, asking, queue = self._known(coverage), dict[Future[Chart], BarRequest](), deque[BarRequest]()
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="yahoo") as pool:
            while asking or not stop.is_set():
                if not queue and not stop.is_set():
                    queue.extend(self._due(known, asking.values()))
                pause = _LOOK_SECONDS if stop.is_set() else self._ask(queue, asking, pool)
                if asking:
                    done = wait(asking, timeout=min(pause, _LOOK_SECONDS), return_when=FIRST_COMPLETED).done
                    answers = [(asking.pop(future), future) for future in done]
                    if answers:
                        batch = self._batch(answers, known)
                        known.update({row.symbol: row for row in batch.coverage})
                        yield batch
                elif queue:
                    stop.wait(min(pause, _LOOK_SECONDS))
                elif (idle := self.pause(known, self.now())) is None:
                    return
                else:
                    stop.wait(min(idle.total_seconds(), _LOOK_SECONDS))

    def _warn_of_a_small_budget(self) -> None:
        length = interval_length(self.interval)
        needed = len(self.symbols) * timedelta(minutes=1) / length if length else 0
        if needed > self.rate_limiter.per_minute:
            log.warning(
                "%d symbols at %s need %.0f requests a minute, and YAHOO_REQUESTS_PER_MINUTE is %d: bars come late",
                len(self.symbols), self.interval, needed, self.rate_limiter.per_minute,
            )  # fmt: skip

    def _due(self, known: Mapping[str, Coverage], asking: Iterable[BarRequest]) -> list[BarRequest]:
        under_way = {request.symbol for request in asking}
        symbols = [symbol for symbol in self.symbols if symbol not in under_way]
        limits = _LIMITS[self.interval]
        return plan_requests(
            symbols, self.interval, limits, self.history, self.delay, known, self.now(), extended=self.extended
        )

    def _ask(
        self, queue: deque[BarRequest], asking: dict[Future[Chart], BarRequest], pool: ThreadPoolExecutor
    ) -> float:
        """Ask for as much as may be asked for now; returns how many seconds until more may be."""
        while queue and len(asking) < self.concurrency:
            pause = self.rate_limiter.try_acquire(2 if _is_part(queue[0]) else 1)
            if pause > 0:
                return pause
            request = queue.popleft()
            asking[pool.submit(self._chart, request)] = request
        return _LOOK_SECONDS

    def _chart(self, request: BarRequest) -> Chart:
        """In a thread of the pool. A part of a history says nothing of later splits, for which Yahoo has changed it."""
        chart = self.client.chart(request)
        if not _is_part(request):
            return chart
        return Chart(chart.bars, self.client.actions(request.symbol, request.begin, self.now()))

    def _batch(self, answers: Iterable[tuple[BarRequest, Future[Chart]]], known: Mapping[str, Coverage]) -> SourceBatch:
        parts = []
        for request, future in answers:
            before = known.get(request.symbol)
            try:
                parts.append(self._answered(request, before, future.result()))
            except YahooError as error:
                parts.append(self._refused(request, before, error))
        return SourceBatch(
            bars=[bar for part in parts for bar in part.bars],
            coverage=[row for part in parts for row in part.coverage],
            actions=[action for part in parts for action in part.actions],
            gaps=[gap for part in parts for gap in part.gaps],
            answers=sum((Counter(part.answers) for part in parts), Counter[str]()),
        )

    def _answered(self, request: BarRequest, before: Coverage | None, chart: Chart) -> SourceBatch:
        if is_suspiciously_empty(request, before, chart.bars):
            raise YahooError(AnswerKind.EMPTY, f"{request.symbol}: no bar since {request.begin:%Y-%m-%d %H:%MZ}")
        now = self.now()
        self.rate_limiter.report_success()
        actions = self._memory.declared(chart.actions, now)
        fresh = self._memory.fresh(request, None if request.adds_hours else before, chart, self.delay, now)
        bars = uncovered(request, before, fresh)
        if request.adds_hours:
            log.info(
                "%s %s: bars before the open and after the close are added since %s; older ones are not fetched",
                request.symbol, request.interval, request.begin,
            )  # fmt: skip
        gap = permanent_gap(request)
        if gap is not None:
            log.warning("%s %s: %s, from %s to %s", gap.symbol, gap.interval, gap.why, gap.begins_at, gap.ends_at)
        row = after_answer(request, before, chart.bars, self.origin, self.delay, now)
        kind = AnswerKind.OK if chart.bars else AnswerKind.NO_BARS
        return SourceBatch(bars, [row], actions=actions, gaps=[gap] if gap else [], answers={kind: 1})

    def _refused(self, request: BarRequest, before: Coverage | None, error: YahooError) -> SourceBatch:
        is_unknown, own = error.kind is AnswerKind.UNKNOWN_SYMBOL, error.kind is not AnswerKind.RATE_LIMITED
        failures = (before.failures if before else 0) + 1
        pause = retry_delay(failures, is_unknown=is_unknown) if own else self.rate_limiter.back_off()
        said = f"{error.kind}: {error}"
        row = after_failure(request, before, said, self.origin, pause, self.now(), own=own)
        reported = is_unknown and before is not None and before.last_answer.startswith(UNKNOWN_SYMBOL)
        log.log(
            logging.INFO if reported else logging.WARNING, "%s; asked again at %s", said, f"{row.next_due:%H:%M:%SZ}"
        )
        return SourceBatch([], [row], answers={error.kind: 1})

    def _trades(self, exchange: str, now: datetime) -> bool:
        """Whether its trading day is on, or begins soon; over lunch the producer stays."""
        days = (trading_day_at(exchange, moment, extended=self.extended) for moment in (now, now + _BEFORE_THE_OPEN))
        return any(day.opened - _BEFORE_THE_OPEN <= now < day.closed for day in days)

    def _known(self, coverage: Sequence[Coverage]) -> dict[str, Coverage]:
        """The rows of the interval in use, whichever hours they cover."""
        return {
            row.symbol: with_hours(row, self.delay, extended=self.extended)
            for row in coverage
            if row.origin.removesuffix(EXTENDED_HOURS) == ORIGIN and row.interval == self.interval
        }


def _next_due(row: Coverage | None, now: datetime) -> datetime:
    return row.next_due if row is not None and row.next_due is not None else now


def _is_part(request: BarRequest) -> bool:
    """Whether more of a long history is to come."""
    return request.end <= request.target
