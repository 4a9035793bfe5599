"""Source yahoo against Yahoo itself: `make test ARGS="-m network"`. Off by default."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from spark_streaming.contract.quote_validity import quote_rejection_reason
from spark_streaming.contract.validity import rejection_reason
from stock_assets.market.bars import Bar
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.quotes import YahooQuotes
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.source import YahooSource
from stock_assets.sources.yahoo.websocket import YahooWebSocket

pytestmark = pytest.mark.network

SYMBOLS = ("AMZN", "SAP.DE", "BTC-USD")


@pytest.fixture
def source(tmp_path: Path) -> YahooSource:
    history, delay = timedelta(days=5), timedelta(seconds=15)
    rate_limiter = RateLimiter(tmp_path / "turns.json", per_minute=60)
    return YahooSource(lambda: SYMBOLS, "2m", history, delay, YahooClient(tmp_path), rate_limiter)


def test_yahoo_gives_valid_bars_of_every_symbol(source: YahooSource) -> None:
    bars: list[Bar] = []
    stop = Event()
    for batch in source.batches([], stop):
        bars.extend(batch.bars)
        assert [row.last_answer for row in batch.coverage if ":" in row.last_answer] == []
        if {bar.symbol for bar in bars} == set(SYMBOLS):
            stop.set()
    now = datetime.now(UTC)
    assert [bar for bar in bars if rejection_reason(bar.key, bar.value, now) is not None] == []


def test_yahoo_knows_the_company(source: YahooSource) -> None:
    amazon = source.client.company("AMZN", datetime.now(UTC))
    assert amazon.currency == "USD"
    assert amazon.marketcap
    assert source.client.search("AMZN")[0][0] == "AMZN"


def test_yahoos_websocket_gives_valid_quotes(tmp_path: Path) -> None:
    client, rate_limiter = YahooClient(tmp_path), RateLimiter(tmp_path / "turns.json", per_minute=60)
    source = YahooQuotes(lambda: ["BTC-USD"], YahooWebSocket(), client, rate_limiter)  # it trades around the clock
    quotes = next(batch for batch in source.batches(Event()) if batch)
    assert source.status.detail == "WebSocket"
    now = datetime.now(UTC)
    assert [quote for quote in quotes if quote_rejection_reason(quote.key, quote.value, now) is not None] == []
