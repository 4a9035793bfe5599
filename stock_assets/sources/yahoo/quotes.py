"""Live quotes of Yahoo: by its WebSocket while a market is open, and by asking where the WebSocket can't be had."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

from websockets.exceptions import WebSocketException

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

CLOSED = "no market is open"


@dataclass(frozen=True)
class RetryTimes:
    """Seconds, and how often."""

    first_backoff: float = 1.0
    longest_backoff: float = 300.0
    steady: float = 60.0  # a connection that gave quotes for so long was a good one
    poll_after: int = 3  # connections in a row that were not
    poll_every: float = 15.0
    watchlist: float = 5.0  # what was read of the watchlist and the calendar holds for so long


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class YahooQuotes:
    """Gives each quote once, of the watched symbols whose market is open."""

    watched: Callable[[], Sequence[str]]
    stream: YahooWebSocket
    client: YahooClient
    rate_limiter: RateLimiter
    patience: RetryTimes = field(default_factory=RetryTimes)
    now: Callable[[], datetime] = _now
    extended: bool = False  # also before the open and after the close
    status: QuoteStatus = field(default_factory=QuoteStatus)
    _open: list[str] = field(default_factory=list)
    _looked_at: float = -1e9
    _newest: dict[str, Quote] = field(default_factory=dict)

    def batches(self, stop: Event) -> Iterator[list[Quote]]:
        """Yield quotes as they come, until `stop` is set; nothing that Yahoo does ends it."""
        failures = 0
        while not stop.is_set():
            if not self.open_symbols():
                self.status.how, failures = CLOSED, 0
                stop.wait(self.patience.watchlist)
                continue
            began, heard = time.monotonic(), False
            try:
                for frames in self.stream.frames(self.open_symbols, stop):
                    heard = True
                    self._say("WebSocket")
                    yield self._read(frames)
                continue
            except (OSError, WebSocketException, StalledError, EOFError) as error:
                was_steady = heard and time.monotonic() - began > self.patience.steady
                failures = 1 if was_steady else failures + 1
                pause = self._backoff(failures)
                self.status.count["stalls" if isinstance(error, StalledError) else "connections_lost"] += 1
                log.warning(
                    "quotes: the WebSocket is not to be had (%s: %s); the next try is in %.0f s",
                    type(error).__name__, error, pause,
                )  # fmt: skip
            yield from self._meanwhile(pause, failures, stop)

    def open_symbols(self) -> list[str]:
        """The watched symbols whose market trades now, or whose prices, which Yahoo shows late, are of such a time."""
        if time.monotonic() - self._looked_at > self.patience.watchlist:
            now = self.now()
            exchanges = {symbol: exchange_of(symbol) for symbol in self.watched()}
            self._open = [
                symbol
                for symbol, exchange in exchanges.items()
                if self._trades(exchange, now) or self._trades(exchange, now - delay_of(exchange))
            ]
            self._looked_at = time.monotonic()
        return self._open

    def _trades(self, exchange: str, moment: datetime) -> bool:
        return trading_interval_at(exchange, moment, extended=self.extended).is_on(moment)

    def _read(self, frames: Sequence[str | bytes]) -> list[Quote]:
        quotes = []
        for frame in frames:
            try:
                quote = quote_from_frame(frame)
            except UnreadableFrameError as error:
                self._unreadable(error, frame)
                continue
            if quote is None:
                self.status.count["other_frames"] += 1
            elif self._is_new(quote):
                quotes.append(quote)
        return quotes

    def _unreadable(self, error: Exception, what: object) -> None:
        self.status.count["unreadable"] += 1
        if self.status.count["unreadable"].bit_count() == 1:  # the 1st, 2nd, 4th, 8th, …: a flood fills no disk
            log.warning(
                "quotes: number %d that can't be read: %s: %.200r", self.status.count["unreadable"], error, what
            )

    def _is_new(self, quote: Quote) -> bool:
        """Whether it was not given before: Yahoo repeats a symbol's newest quote after each subscription."""
        if self._newest.get(quote.symbol) == quote:
            self.status.count["repeated"] += 1
            return False
        self._newest[quote.symbol] = quote
        return True

    def _meanwhile(self, pause: float, failures: int, stop: Event) -> Iterator[list[Quote]]:
        """Until the next try: wait, or poll where there were too many."""
        end = time.monotonic() + pause
        while not stop.is_set() and (left := end - time.monotonic()) > 0 and self.open_symbols():
            if failures < self.patience.poll_after or self.rate_limiter.is_backing_off:
                stop.wait(min(left, self.patience.poll_every))
                continue
            self._say("polled, for the WebSocket can't be had")
            yield self._poll(stop)
            stop.wait(min(self.patience.poll_every, end - time.monotonic()))

    def _poll(self, stop: Event) -> list[Quote]:
        if not self.rate_limiter.acquire(stop):
            return []
        self.status.count["polls"] += 1
        try:
            rows = self.client.quotes(self.open_symbols())
        except YahooError as error:
            self.status.count["polls_failed"] += 1
            if error.kind is AnswerKind.RATE_LIMITED:
                self.rate_limiter.back_off()
            self._say(f"neither the WebSocket nor an answer can be had: {error}")
            return []
        self.rate_limiter.report_success()
        quotes = []
        for row in rows:
            try:
                quote = quote_from_row(row)
            except UnreadableFrameError as error:
                self._unreadable(error, row)
                continue
            known = self._newest.get(quote.symbol) if quote else None
            # In seconds: older than what the WebSocket gave of the same second.
            if quote and (known is None or quote.time > known.time) and self._is_new(quote):
                quotes.append(quote)
        return quotes

    def _say(self, how: str) -> None:
        if how != self.status.how:
            log.info("quotes: %s", how)
            self.status.how = how

    def _backoff(self, failures: int) -> float:
        longest = delay_seconds(failures, self.patience.first_backoff, self.patience.longest_backoff)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
