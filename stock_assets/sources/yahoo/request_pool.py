"""Sends requests for bars concurrently, within the rate limit."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Self

from stock_assets.pipeline.fetch_planner import BarRequest
from stock_assets.sources.yahoo.charts import Chart
from stock_assets.sources.yahoo.rate_limiter import RateLimiter

CompletedRequest = tuple[BarRequest, Future[Chart]]


class RequestPool:
    """A queue of requests, of which at most `concurrency` are in flight at once."""

    def __init__(
        self,
        fetch: Callable[[BarRequest], Chart],
        cost: Callable[[BarRequest], int],
        rate_limiter: RateLimiter,
        concurrency: int,
    ) -> None:
        """`fetch` runs in a thread of the pool; `cost` returns how many HTTP requests it sends."""
        self._fetch, self._cost = fetch, cost
        self._rate_limiter, self._concurrency = rate_limiter, concurrency
        self._queue = deque[BarRequest]()
        self._in_flight = dict[Future[Chart], BarRequest]()
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="yahoo")

    def __enter__(self) -> Self:
        """Use as a context, at whose end the requests in flight are awaited."""
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    @property
    def has_queued(self) -> bool:
        """Whether the queue has requests."""
        return bool(self._queue)

    @property
    def symbols_in_flight(self) -> set[str]:
        """The symbols whose requests are sent and not completed."""
        return {request.symbol for request in self._in_flight.values()}

    def enqueue(self, requests: Iterable[BarRequest]) -> None:
        """Add requests to the queue."""
        self._queue.extend(requests)

    def send(self) -> float:
        """Send as many queued requests as the limits allow; returns the seconds until the rate limiter allows the next
        one, 0 where it is not the rate limiter that prevents it."""
        while self._queue and len(self._in_flight) < self._concurrency:
            pause = self._rate_limiter.try_acquire(self._cost(self._queue[0]))
            if pause > 0:
                return pause
            request = self._queue.popleft()
            self._in_flight[self._threads.submit(self._fetch, request)] = request
        return 0.0

    def completed(self, timeout_seconds: float) -> list[CompletedRequest]:
        """Return the completed requests, as soon as there is one; empty after `timeout_seconds` without one."""
        done = wait(self._in_flight, timeout=timeout_seconds, return_when=FIRST_COMPLETED).done
        return [(self._in_flight.pop(future), future) for future in done]
