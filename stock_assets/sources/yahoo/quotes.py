"""Yahoo's live quotes while a market is open: from its WebSocket, or by polling while the WebSocket is unavailable."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event

from websockets.exceptions import WebSocketException

from spark_streaming.contract import clock
from spark_streaming.contract.backoff import delay_seconds
from stock_assets.market.quotes import Quote
from stock_assets.market.symbols import delay_of, exchange_of
from stock_assets.market.trading_hours import trading_interval_at
from stock_assets.sources.base import QuoteStatus
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.errors import AnswerKind, YahooError
from stock_assets.sources.yahoo.quote_messages import UnreadableFrameError, quote_from_frame, quote_from_row
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.websocket import StalledError, YahooWebSocket

log = logging.getLogger("ingest")

NO_MARKET_OPEN = "no market is open"


@dataclass(frozen=True)
class RetryTimes:
    """Times in seconds, and the number of failures after which quotes are polled."""

    first_backoff: float = 1.0
    longest_backoff: float = 300.0
    stable_after: float = 60.0  # a connection that lasted longer ends the row of failures
    poll_after: int = 3  # failed connections in a row
    poll_every: float = 15.0
    watchlist_every: float = 5.0  # between two reads of the watchlist and the calendar


@dataclass
class YahooQuotes:
    """Gives the quotes of the watched symbols whose market is open, each once."""

    watched: Callable[[], Sequence[str]]
    stream: YahooWebSocket
    client: YahooClient
    rate_limiter: RateLimiter
    retry_times: RetryTimes = field(default_factory=RetryTimes)
    now: Callable[[], datetime] = clock.now
    extended: bool = False  # also before the open and after the close
    status: QuoteStatus = field(default_factory=QuoteStatus)
    _open: list[str] = field(default_factory=list)
    _open_read_at: float = -1e9
    _newest: dict[str, Quote] = field(default_factory=dict)

    def batches(self, stop: Event) -> Iterator[list[Quote]]:
        """Yield quotes as they arrive, until `stop` is set; no failure of Yahoo ends it."""
        failures = 0
        while not stop.is_set():
            if not self.open_symbols():
                self.status.detail, failures = NO_MARKET_OPEN, 0
                stop.wait(self.retry_times.watchlist_every)
                continue
            began, received = time.monotonic(), False
            try:
                for frames in self.stream.frames(self.open_symbols, stop):
                    received = True
                    self._set_detail("WebSocket")
                    yield self._read(frames)
                continue
            except (OSError, WebSocketException, StalledError, EOFError) as error:
                was_stable = received and time.monotonic() - began > self.retry_times.stable_after
                failures = 1 if was_stable else failures + 1
                pause = self._backoff(failures)
                self.status.counts["stalls" if isinstance(error, StalledError) else "connections_lost"] += 1
                log.warning(
                    "quotes: the WebSocket is unavailable (%s: %s); next attempt in %.0f s",
                    type(error).__name__, error, pause,
                )  # fmt: skip
            yield from self._wait_or_poll(pause, failures, stop)

    def open_symbols(self) -> list[str]:
        """Return the watched symbols whose market is open now, or was open at the time of Yahoo's delayed prices."""
        if time.monotonic() - self._open_read_at > self.retry_times.watchlist_every:
            now = self.now()
            exchanges = {symbol: exchange_of(symbol) for symbol in self.watched()}
            self._open = [
                symbol
                for symbol, exchange in exchanges.items()
                if self._trades(exchange, now) or self._trades(exchange, now - delay_of(exchange))
            ]
            self._open_read_at = time.monotonic()
        return self._open

    def _trades(self, exchange: str, moment: datetime) -> bool:
        return trading_interval_at(exchange, moment, extended=self.extended).is_on(moment)

    def _read(self, frames: Sequence[str | bytes]) -> list[Quote]:
        quotes = []
        for frame in frames:
            try:
                quote = quote_from_frame(frame)
            except UnreadableFrameError as error:
                self._count_unreadable(error, frame)
                continue
            if quote is None:
                self.status.counts["other_frames"] += 1
            elif self._is_new(quote):
                quotes.append(quote)
        return quotes

    def _count_unreadable(self, error: Exception, message: object) -> None:
        self.status.counts["unreadable"] += 1
        if (
            self.status.counts["unreadable"].bit_count() == 1
        ):  # logs the 1st, 2nd, 4th, 8th, …: many would fill the disk
            log.warning(
                "quotes: unreadable message number %d: %s: %.200r", self.status.counts["unreadable"], error, message
            )

    def _is_new(self, quote: Quote) -> bool:
        """Whether it differs from the symbol's last quote: Yahoo repeats that after each subscription."""
        if self._newest.get(quote.symbol) == quote:
            self.status.counts["repeated"] += 1
            return False
        self._newest[quote.symbol] = quote
        return True

    def _wait_or_poll(self, pause: float, failures: int, stop: Event) -> Iterator[list[Quote]]:
        """Wait until the next attempt to connect; after `poll_after` failures poll meanwhile."""
        end = time.monotonic() + pause
        while not stop.is_set() and (remaining := end - time.monotonic()) > 0 and self.open_symbols():
            if failures < self.retry_times.poll_after or self.rate_limiter.is_backing_off:
                stop.wait(min(remaining, self.retry_times.poll_every))
                continue
            self._set_detail("polled, because the WebSocket is unavailable")
            yield self._poll(stop)
            stop.wait(min(self.retry_times.poll_every, end - time.monotonic()))

    def _poll(self, stop: Event) -> list[Quote]:
        if not self.rate_limiter.acquire(stop):
            return []
        self.status.counts["polls"] += 1
        try:
            rows = self.client.quotes(self.open_symbols())
        except YahooError as error:
            self.status.counts["polls_failed"] += 1
            if error.kind is AnswerKind.RATE_LIMITED:
                self.rate_limiter.back_off()
            self._set_detail(f"the WebSocket is unavailable, and polling failed: {error}")
            return []
        self.rate_limiter.report_success()
        quotes = []
        for row in rows:
            try:
                quote = quote_from_row(row)
            except UnreadableFrameError as error:
                self._count_unreadable(error, row)
                continue
            previous = self._newest.get(quote.symbol) if quote else None
            # A row's time is in whole seconds: it may be older than a quote of the WebSocket from the same second.
            if quote and (previous is None or quote.time > previous.time) and self._is_new(quote):
                quotes.append(quote)
        return quotes

    def _set_detail(self, detail: str) -> None:
        if detail != self.status.detail:
            log.info("quotes: %s", detail)
            self.status.detail = detail

    def _backoff(self, failures: int) -> float:
        longest = delay_seconds(failures, self.retry_times.first_backoff, self.retry_times.longest_backoff)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
