"""The tests' Yahoo server as a program: `python -m stock_assets_tests.services.yahoo_alone`.

Prints a line of JSON, `proxy` and `ca_file`, for YAHOO_PROXY and YAHOO_CA_FILE; serves until its standard input ends.
"""

import argparse
import json
import sys
from datetime import UTC, datetime

from stock_assets_tests.services.proxy import ConnectProxy
from stock_assets_tests.services.yahoo import Market, YahooServer


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--around-the-clock", action="store_true", help="all symbols always trade")
    parser.add_argument("--since", type=datetime.fromisoformat, help="no bar starts earlier, as 2026-11-20T14:30")
    parser.add_argument("--known", default="AMZN,AAPL,MSFT,GOOGL", help="the companies about which it has facts")
    options = parser.parse_args()
    server = YahooServer()
    configure(server.market, options.around_the_clock, options.since, options.known.split(","))
    proxy = ConnectProxy(server.port)
    print(json.dumps({"proxy": proxy.address, "ca_file": str(server.certificate)}), flush=True)
    sys.stdin.read()
    proxy.close()
    server.close()


def configure(market: Market, around_the_clock: bool, since: datetime | None, known: list[str]) -> None:
    """Set the data that the options describe."""
    hours = market.trades
    first = since.replace(tzinfo=UTC) if since else datetime.min.replace(tzinfo=UTC)
    market.trades = lambda at: at >= first and (around_the_clock or hours(at))
    market.facts = {symbol: {"marketCap": 10**12, "currency": "USD", "country": "United States"} for symbol in known}


if __name__ == "__main__":
    main()
