"""A server that answers like Yahoo, over TLS, for yfinance's and curl_cffi's own code.

Its answers have the structure of Yahoo's chart, quoteSummary, quote and crumb endpoints; the numbers are invented.
"""

import json
import math
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
from curl_cffi import CurlOpt

from stock_assets.sources.yahoo.http_session import YahooSession

HOSTS = ("fc.yahoo.com", "query1.finance.yahoo.com", "query2.finance.yahoo.com", "finance.yahoo.com", "guce.yahoo.com")
COOKIE = "A3=d=made-up; Max-Age=31557600; Domain=.yahoo.com; Path=/; Secure; HttpOnly"
SECONDS = {"1m": 60, "2m": 120, "5m": 300, "1h": 3600, "1d": 86_400}

# Status, content type and body of an answer to a chart request.
BadAnswer = tuple[int, str, bytes]


@dataclass
class Market:
    """The data of the server, which tests change while it runs."""

    # Whether a bar starts at a time.
    trades: Callable[[datetime], bool] = lambda at: at.weekday() < 5 and _in_new_york_hours(at)
    trades_extended: Callable[[datetime], bool] = lambda at: at.weekday() < 5 and at.hour >= 9
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    unknown: set[str] = field(default_factory=set)
    halted: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    holes: set[datetime] = field(default_factory=set)  # rows of nulls
    corrected: dict[tuple[str, datetime], float] = field(default_factory=dict)
    bad_answers: dict[str, list[BadAnswer]] = field(default_factory=dict)  # symbol -> its next answers
    slow: dict[str, float] = field(default_factory=dict)  # symbol -> seconds until its chart is answered
    splits: dict[str, dict[datetime, tuple[float, float]]] = field(
        default_factory=dict
    )  # opening -> new for old shares
    dividends: dict[str, dict[datetime, float]] = field(default_factory=dict)  # opening -> amount in today's shares
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    quotes: dict[str, dict[str, Any]] = field(default_factory=dict)  # symbol -> fields of its quote
    rate_limit_quotes: bool = False  # answer the quote endpoint with 429
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path and query of each request
    most_concurrent: int = 0  # the largest number of slow requests in flight at once
    _in_flight: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self, symbol: str, at: datetime) -> float:
        """The price of a bar, in today's shares; the same each time, unless it is in `corrected`."""
        price = self.corrected.get((symbol, at), 100 + (at.hour * 60 + at.minute) / 100 + len(symbol))
        return price / self.shares_since(symbol, at)

    def shares_since(self, symbol: str, at: datetime) -> float:
        """The number of today's shares for one share at `at`."""
        splits = [ratio for opening, ratio in self.splits.get(symbol, {}).items() if at < opening <= self.now()]
        return math.prod(new / old for new, old in splits if 0 < new < math.inf and 0 < old < math.inf)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the requests that are in this context at once."""
        with self._lock:
            self._in_flight += 1
            self.most_concurrent = max(self.most_concurrent, self._in_flight)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def charts(self) -> list[tuple[str, dict[str, str]]]:
        """The chart requests, symbol and query."""
        return [(path.rsplit("/", 1)[1], query) for path, query in self.requests if "/v8/finance/chart/" in path]


def _in_new_york_hours(at: datetime) -> bool:
    """14:30 to 21:00 UTC: New York's session in winter time."""
    return (14, 30) <= (at.hour, at.minute) < (21, 0)


class YahooServer:
    """Serves a `Market` on a port of 127.0.0.1 until it is closed."""

    def __init__(self) -> None:
        self.market = Market()
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*HOSTS).configure_cert(context)
        folder = tempfile.TemporaryDirectory()
        self._folder = folder
        self.certificate = Path(folder.name) / "ca.pem"
        authority.cert_pem.write_to_path(self.certificate)

        class Handler(_Handler):
            """Answers with this server's data."""

        Handler.market = self.market
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.server_address[1])

    def session(self) -> YahooSession:
        """A session that connects to this server instead of Yahoo's hosts."""
        options = {CurlOpt.PORT: self.port, CurlOpt.RESOLVE: [f"{host}:{self.port}:127.0.0.1" for host in HOSTS]}
        return YahooSession(ca_file=self.certificate, curl_options=options)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._folder.cleanup()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Ignore a client that has disconnected."""


class _Handler(BaseHTTPRequestHandler):
    market: Market
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.market.requests.append((url.path, query))
        if self.headers["Host"].startswith("fc."):  # a cookie: without it yfinance requests this before each request
            self._answer(404, "text/html", b"<html>Not here</html>", {"Set-Cookie": COOKIE})
        elif url.path.startswith("/v1/test/getcrumb"):
            self._answer(200, "text/plain", b"a.crumb")
        elif "/v8/finance/chart/" in url.path:
            self._chart(url.path.rsplit("/", 1)[1], query)
        elif "/v10/finance/quoteSummary/" in url.path:
            self._summary(url.path.rsplit("/", 1)[1])
        elif url.path.startswith("/v7/finance/quote"):
            self._quote(query.get("symbols", ""))
        elif url.path.startswith("/v1/finance/search"):
            found = [{"symbol": s, "shortname": f"{s} Inc."} for s in self.market.facts if s.startswith(query["q"][:2])]
            self._json(200, {"quotes": found, "news": [], "lists": []})
        elif "/fundamentals-timeseries/" in url.path:
            self._json(200, {"timeseries": {"result": [], "error": None}})
        else:
            self._answer(404, "text/html", b"<html>Not here</html>")

    def _chart(self, symbol: str, query: dict[str, str]) -> None:
        if symbol in self.market.slow:
            with self.market.counting():
                time.sleep(self.market.slow[symbol])
        if self.market.bad_answers.get(symbol):
            self._answer(*self.market.bad_answers[symbol].pop(0))
        elif symbol in self.market.unknown:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            self._json(404, {"chart": {"result": None, "error": error}})
        else:
            self._json(200, {"chart": {"result": [self._bars(symbol, query)], "error": None}})

    def _bars(self, symbol: str, query: dict[str, str]) -> dict[str, Any]:
        market, step = self.market, timedelta(seconds=SECONDS[query["interval"]])
        extended = query.get("includePrePost") == "true"
        at = datetime.fromtimestamp(int(query["period1"]), UTC)
        if query["interval"] == "1d":  # a daily bar has the time of the open
            opening = at.replace(hour=14, minute=30, second=0)
            at = opening if opening >= at else opening + step
        end = min(datetime.fromtimestamp(int(query["period2"]), UTC), market.now())
        rows: list[tuple[datetime, float | None]] = []
        halt = market.halted.get(symbol)
        while at < end:
            traded = market.trades(at) or (extended and market.trades_extended(at))
            if traded and not (halt and halt[0] <= at < halt[1]):
                rows.append((at, None if at in market.holes else market.close(symbol, at)))
            at += step
        quote = {
            name: [None if close is None else round(close + shift, 4) for _, close in rows]
            for name, shift in (("open", -0.1), ("high", 0.2), ("low", -0.2), ("close", 0.0))
        }
        volume = [None if close is None else round(1000 * market.shares_since(symbol, at)) for at, close in rows]
        is_coin = symbol.endswith("-USD")
        chart = {
            "meta": {
                "currency": "USD",
                "symbol": symbol,
                "exchangeName": "NMS",
                "instrumentType": "CRYPTOCURRENCY" if is_coin else "EQUITY",
                "exchangeTimezoneName": "UTC" if is_coin else "America/New_York",
                "timezone": "UTC" if is_coin else "EST",
                "gmtoffset": 0 if is_coin else -18000,
                "dataGranularity": query["interval"],
                "range": "",
                "validRanges": ["1d", "5d", "1mo", "max"],
                "currentTradingPeriod": _periods(market.now()),
                "tradingPeriods": _trading_periods(sorted({at.date() for at, _ in rows}), extended, is_coin),
            },
            "events": _events(market, symbol, query),
        }
        if not rows:  # then Yahoo's answer has no timestamps, and a quote without columns
            return chart | {"indicators": {"quote": [{}]}}
        return chart | {
            "timestamp": [int(at.timestamp()) for at, _ in rows],
            "indicators": {"quote": [{**quote, "volume": volume}]},
        }

    def _summary(self, symbol: str) -> None:
        facts = self.market.facts.get(symbol)
        if facts is None:
            error = {"code": "Not Found", "description": f"Quote not found for symbol: {symbol}"}
            self._json(404, {"quoteSummary": {"result": None, "error": error}})
        else:
            self._json(200, {"quoteSummary": {"result": [{"summaryDetail": facts}], "error": None}})

    def _quote(self, symbols: str) -> None:
        if self.market.rate_limit_quotes:
            self._answer(429, "text/html", b"Too Many Requests")
            return
        known = [s for s in symbols.split(",") if s in {*self.market.facts, *self.market.quotes}]
        rows = [{"symbol": s, "quoteType": "EQUITY"} | self.market.quotes.get(s, {}) for s in known]
        self._json(200, {"quoteResponse": {"result": rows, "error": None}})

    def _json(self, status: int, answer: dict[str, Any]) -> None:
        self._answer(status, "application/json", json.dumps(answer).encode())

    def _answer(self, status: int, kind: str, body: bytes, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _events(market: Market, symbol: str, query: dict[str, str]) -> dict[str, dict[str, dict[str, float]]]:
    """The splits and dividends in the requested time, each under its timestamp."""

    def is_requested(opening: datetime) -> bool:
        return int(query["period1"]) <= opening.timestamp() < int(query["period2"]) and opening <= market.now()

    splits, dividends = market.splits.get(symbol, {}), market.dividends.get(symbol, {})
    times = {opening: int(opening.timestamp()) for opening in (*splits, *dividends) if is_requested(opening)}
    return {
        "splits": {
            str(at): {"date": at, "numerator": splits[opening][0], "denominator": splits[opening][1]}
            for opening, at in times.items()
            if opening in splits
        },
        "dividends": {
            str(at): {"date": at, "amount": dividends[opening]} for opening, at in times.items() if opening in dividends
        },
    }


def _trading_periods(days: list[date], extended: bool, is_coin: bool) -> Any:
    regular = [[_period(day, *(AROUND_THE_CLOCK if is_coin else REGULAR))] for day in days]
    if not extended:
        return regular
    return {
        "pre": [[_period(day, *PRE)] for day in days],
        "regular": regular,
        "post": [[_period(day, *POST)] for day in days],
    }


# Hours and minutes in UTC, with New York at winter time.
PRE, REGULAR, POST = ((9, 0), (14, 30)), ((14, 30), (21, 0)), ((21, 0), (25, 0))
AROUND_THE_CLOCK = ((0, 0), (24, 0))


def _period(day: date, begin: tuple[int, int], end: tuple[int, int]) -> dict[str, Any]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    start, stop = (int((midnight + timedelta(hours=h, minutes=m)).timestamp()) for h, m in (begin, end))
    return {"timezone": "EST", "start": start, "end": stop, "gmtoffset": -18000}


def _periods(now: datetime) -> dict[str, Any]:
    return {name: _period(now.date(), *hours) for name, hours in (("pre", PRE), ("regular", REGULAR), ("post", POST))}
