"""A server that answers like Yahoo, and a source that fetches from it through yfinance's and curl_cffi's own code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_assets_tests.services.yahoo import Market, YahooServer
from stock_assets_tests.sources.yahoo.harness import SourceHarness


@pytest.fixture(scope="module")
def server() -> Iterator[YahooServer]:
    server = YahooServer()
    yield server
    server.close()


@pytest.fixture
def market(server: YahooServer) -> Market:
    fresh = Market()
    vars(server.market).update(vars(fresh))
    return server.market


@pytest.fixture
def harness(server: YahooServer, market: Market, tmp_path: Path) -> SourceHarness:
    return SourceHarness(server, tmp_path, "AMZN", "AAPL")
