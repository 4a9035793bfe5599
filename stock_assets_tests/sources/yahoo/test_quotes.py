"""Yahoo's quotes over a real WebSocket with TLS and protobuf, from a server that also fails."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spark_streaming.contract.quote_validity import quote_rejection_reason
from spark_streaming.contract.schema import MarketPhase
from stock_assets.market.quotes import Quote
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.quote_messages import UnreadableFrameError, quote_from_frame, quote_from_row
from stock_assets.sources.yahoo.quotes import NO_MARKET_OPEN, RetryTimes, YahooQuotes
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.websocket import YahooWebSocket
from stock_assets_tests.services.waiting import until
from stock_assets_tests.services.yahoo import YahooServer
from stock_assets_tests.services.yahoo_stream import (
    StreamServer,
    frame_of,
    send_and_close,
    send_and_disconnect,
    send_and_wait,
)

OPEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # a Friday, half an hour after New York's open
MS = int(OPEN.timestamp() * 1000)
SHORT_TIMES = RetryTimes(0.02, 0.1, stable_after=60, poll_after=3, poll_every=0.05, watchlist_every=0.05)


@dataclass
class Client:
    """Runs the source in a thread, and keeps the quotes that it has given."""

    source: YahooQuotes
    watched: list[str]
    time: list[datetime]
    quotes: list[Quote] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        for batch in self.source.batches(self.stop):
            self.quotes.extend(batch)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def prices(self) -> list[float]:
        return [quote.price for quote in self.quotes]


@pytest.fixture
def stream() -> Iterator[StreamServer]:
    server = StreamServer()
    yield server
    server.close()


@pytest.fixture
def client(stream: StreamServer, server: YahooServer, tmp_path: Path) -> Iterator[Client]:
    watched, time = ["AMZN", "AAPL"], [OPEN]
    source = YahooQuotes(
        watched=lambda: list(watched),
        stream=YahooWebSocket(stream.address, stream.context, resubscribe_seconds=60, stall_seconds=60),
        client=YahooClient(tmp_path, server.session),
        rate_limiter=RateLimiter(tmp_path / "turns.json", per_minute=60_000),
        retry_times=SHORT_TIMES,
        now=lambda: time[0],
    )
    made = Client(source, watched, time)
    yield made
    made.end()


def test_prices_of_a_frame_are_the_shortest_decimals() -> None:
    frame = frame_of(
        "AMZN", MS + 123, 217.1, bid=217.05, ask=217.15, last_size=100, day_volume=2**40, change_percent=-0.42,
        market_hours=1,
    )  # fmt: skip
    quote = quote_from_frame(frame)
    at = OPEN + timedelta(milliseconds=123)
    assert quote == Quote("AMZN", at, 217.1, 217.05, 217.15, 100, 2**40, -0.42, MarketPhase.REGULAR)
    assert json.loads(quote.value)["timestamp"] == "2026-11-20T15:00:00.123Z"
    assert json.loads(quote.value)["day_volume"] == 2**40
    assert quote_rejection_reason(quote.key, quote.value, OPEN) is None


def test_missing_fields_are_an_unchanged_price_before_the_open_without_sizes() -> None:
    quote = quote_from_frame(frame_of("AMZN", MS, 217.1))
    assert quote == Quote("AMZN", OPEN, 217.1, change_percent=0.0, market_phase=MarketPhase.PRE)
    assert set(json.loads(quote.value)) == {"symbol", "timestamp", "price", "change_percent", "market_phase"}
    assert quote_rejection_reason(quote.key, quote.value, OPEN) is None


GARBAGE: dict[str, str | bytes] = {
    "no JSON": "{",
    "no object": "[1]",
    "no message": '{"type": "pricing"}',
    "no base64": '{"type": "pricing", "message": "***"}',
    "half a protobuf": json.dumps({"type": "pricing", "message": json.loads(frame_of("AMZN", MS, 1))["message"][:12]}),
    "bytes": b"\x00\xff",
    "no price": frame_of("AMZN", MS, 0),
    "no symbol": frame_of("", MS, 1),
    "a price that is no number": frame_of("AMZN", MS, float("nan")),
    "a time beyond all calendars": frame_of("AMZN", 2**60, 1),
}


@pytest.mark.parametrize("frame", GARBAGE.values(), ids=GARBAGE.keys())
def test_an_unusable_frame_raises(frame: str | bytes) -> None:
    with pytest.raises(UnreadableFrameError):
        quote_from_frame(frame)


def test_an_unusable_frame_is_counted_and_the_next_one_is_read(stream: StreamServer, client: Client) -> None:
    stream.scripts = [send_and_wait(*GARBAGE.values(), '{"type": "welcome"}', frame_of("AMZN", MS, 217.1))]
    client.start()
    until(lambda: client.prices() == [217.1])
    assert client.source.status.counts == {"unreadable": len(GARBAGE), "other_frames": 1}
    assert len(stream.connections) == 1


def test_two_ticks_of_a_millisecond_are_two_quotes_and_a_repeated_tick_is_dropped(
    stream: StreamServer, client: Client
) -> None:
    ticks = [frame_of("AMZN", MS, price) for price in (217.1, 217.2, 217.2)]
    stream.scripts = [send_and_wait(*ticks, frame_of("AAPL", MS, 5))]
    client.start()
    until(lambda: client.prices() == [217.1, 217.2, 5.0])
    assert client.source.status.detail == "WebSocket"


@pytest.mark.parametrize("ending", [send_and_close, send_and_disconnect])
def test_after_a_close_it_connects_and_subscribes_again(
    stream: StreamServer, client: Client, ending: Callable[..., Callable[..., None]]
) -> None:
    stream.scripts = [
        ending(frame_of("AMZN", MS, 1)),
        ending(frame_of("AMZN", MS, 2)),
        send_and_wait(frame_of("AMZN", MS, 3)),
    ]
    client.start()
    until(lambda: client.prices() == [1, 2, 3])
    assert [connection.subscribed[0] for connection in stream.connections] == [["AAPL", "AMZN"]] * 3
    assert client.source.status.counts["connections_lost"] == 2


def test_a_connection_without_frames_is_replaced(stream: StreamServer, client: Client) -> None:
    client.source.stream.stall_seconds = 0.3
    stream.scripts = [send_and_wait(), send_and_wait(frame_of("AMZN", MS, 1))]
    client.start()
    until(lambda: client.prices() == [1])
    assert client.source.status.counts["stalls"] >= 1


def test_it_subscribes_again_at_regular_times(stream: StreamServer, client: Client) -> None:
    client.source.stream.resubscribe_seconds = 0.1
    client.start()
    until(lambda: bool(stream.connections) and len(stream.connections[0].subscribed) >= 3)
    assert len(stream.connections) == 1


def test_a_change_of_the_watchlist_changes_the_subscription(stream: StreamServer, client: Client) -> None:
    client.start()
    until(lambda: bool(stream.connections))
    client.watched[:] = ["AAPL", "BTC-USD"]
    until(lambda: stream.connections[0].subscribed[-1] == ["AAPL", "BTC-USD"])
    assert stream.connections[0].unsubscribed == [["AMZN"]]


def test_it_is_connected_only_while_a_market_is_open(stream: StreamServer, client: Client) -> None:
    client.time[0] = OPEN - timedelta(hours=2)
    client.start()
    until(lambda: client.source.status.detail == NO_MARKET_OPEN)
    assert stream.connections == []
    client.time[0] = OPEN
    until(lambda: len(stream.connections) == 1)
    client.time[0] = OPEN + timedelta(hours=8)
    until(lambda: client.source.status.detail == NO_MARKET_OPEN)
    until(lambda: stream.connections[0].socket.close_code == 1000)


def test_with_extended_hours_it_is_connected_before_the_open_too(stream: StreamServer, client: Client) -> None:
    client.source.extended = True
    client.time[0] = OPEN - timedelta(hours=2)
    client.start()
    until(lambda: bool(stream.connections))


def test_only_symbols_of_open_markets_are_subscribed(stream: StreamServer, client: Client) -> None:
    client.watched[:] = ["AMZN", "SAP.DE", "BTC-USD"]
    client.time[0] = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # Frankfurt is open, New York is closed
    client.start()
    until(lambda: bool(stream.connections))
    assert stream.connections[0].subscribed[0] == ["BTC-USD", "SAP.DE"]


def test_while_the_websocket_is_rejected_it_polls_and_its_status_says_so(
    stream: StreamServer, server: YahooServer, client: Client
) -> None:
    row = {"marketState": "REGULAR", "regularMarketPrice": 217.5, "regularMarketTime": MS // 1000, "bid": 217.4}
    server.market.quotes = {"AMZN": row | {"regularMarketVolume": 48210, "regularMarketChangePercent": 0.1}}
    stream.handshakes_to_reject = 12
    stream.scripts = [send_and_wait(frame_of("AMZN", MS + 5, 218))]
    client.start()
    until(lambda: "polled" in client.source.status.detail)
    until(lambda: client.prices() == [217.5, 218])
    assert client.quotes[0] == Quote(
        "AMZN", OPEN, 217.5, bid=217.4, day_volume=48210, change_percent=0.1, market_phase=MarketPhase.REGULAR
    )
    until(lambda: client.source.status.detail == "WebSocket")
    assert client.source.status.counts["polls"] >= 1


def test_if_polling_fails_too_its_status_says_so_and_it_retries(
    stream: StreamServer, server: YahooServer, client: Client
) -> None:
    server.market.quotes = {}
    server.market.rate_limit_quotes = True
    stream.handshakes_to_reject = 1_000
    client.start()
    try:
        until(lambda: "polling failed" in client.source.status.detail)
        assert client.source.status.counts["polls_failed"] >= 1
    finally:
        server.market.rate_limit_quotes = False
    stream.scripts = [send_and_wait(frame_of("AMZN", MS, 1))]
    stream.handshakes_to_reject = 0
    until(lambda: client.prices() == [1])


def test_a_row_after_the_close_has_the_price_of_that_time() -> None:
    row = {"symbol": "AMZN", "marketState": "POST", "regularMarketPrice": 1, "regularMarketTime": 1}
    later = {"postMarketPrice": 2.5, "postMarketTime": MS // 1000, "postMarketChangePercent": 0.2}
    assert quote_from_row(row | later) == Quote("AMZN", OPEN, 2.5, change_percent=0.2, market_phase=MarketPhase.POST)
    assert quote_from_row({"symbol": "AMZN", "marketState": "CLOSED"}) is None


ROW = {"symbol": "AMZN", "regularMarketPrice": 217.5, "regularMarketTime": MS // 1000}
BROKEN_ROWS: dict[str, Any] = {
    "no object": "AMZN",
    "nothing": None,
    "no symbol": {name: value for name, value in ROW.items() if name != "symbol"},
    "half a surrogate pair": ROW | {"symbol": "\ud800"},
    "a word for a price": ROW | {"regularMarketPrice": "dear"},
    "an infinite price": ROW | {"regularMarketPrice": float("inf")},
    "a price below zero": ROW | {"regularMarketPrice": -1},
    "a price that is no number": ROW | {"regularMarketPrice": float("nan")},
    "an infinite time": ROW | {"regularMarketTime": float("inf")},
    "a time beyond all calendars": ROW | {"regularMarketTime": 10**30},
    "an infinite volume": ROW | {"regularMarketVolume": float("inf")},
    "a phase that is no text": ROW | {"marketState": []},
    "a bid beyond all floats": ROW | {"bid": 10**400},
}


@pytest.mark.parametrize("row", BROKEN_ROWS.values(), ids=BROKEN_ROWS.keys())
def test_a_broken_row_is_unreadable(row: Any) -> None:
    with pytest.raises(UnreadableFrameError):
        quote_from_row(row)


def test_broken_rows_are_counted_and_the_rows_of_other_symbols_are_read(
    stream: StreamServer, server: YahooServer, client: Client
) -> None:
    client.watched[:] = ["BROKEN", "AMZN"]
    broken = {"regularMarketPrice": float("inf"), "regularMarketTime": MS // 1000}
    server.market.quotes = {"BROKEN": broken, "AMZN": ROW | {"bid": float("inf")}}
    stream.handshakes_to_reject = 1_000
    client.start()
    until(lambda: client.quotes == [Quote("AMZN", OPEN, 217.5, market_phase=MarketPhase.REGULAR)])
    assert client.source.status.counts["unreadable"] >= 1
