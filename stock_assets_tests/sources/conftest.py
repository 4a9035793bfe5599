"""A server that answers as Yahoo does, and a source that asks it through yfinance's and curl_cffi's own code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_assets_tests.services.yahoo import Market, YahooServer
from stock_assets_tests.sources.yahoo.asked import Asked


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
def asked(server: YahooServer, market: Market, tmp_path: Path) -> Asked:
    return Asked(server, tmp_path, "AMZN", "AAPL")
