"""Requests to Yahoo through yfinance; each failure, also one over an answer's content, becomes a YahooError."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import yfinance as yf
from yfinance.cache import get_tz_cache
from yfinance.const import _QUERY1_URL_
from yfinance.data import YfData
from yfinance.exceptions import YFPricesMissingError

from stock_assets.market.calendars import timezone_of
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.symbols import exchange_of
from stock_assets.pipeline.fetch_planner import BarRequest
from stock_assets.sources.yahoo.charts import Chart, chart_from_frame
from stock_assets.sources.yahoo.company_facts import company_from_info
from stock_assets.sources.yahoo.errors import classify_error, unknown_symbol
from stock_assets.sources.yahoo.http_session import YahooSession

REQUESTS_A_COMPANY = 3  # of yfinance for `info`: quoteSummary, quote and a time series

_QUOTE_ADDRESS = f"{_QUERY1_URL_}/v7/finance/quote"

T = TypeVar("T")


def cache_folder(home: Path) -> Path:
    """Return the folder in which yfinance keeps cookies and time zones."""
    return home / "cache" / "yfinance"


class YahooClient:
    """Sends requests to Yahoo; keeps its cookie, crumb and connections for as long as it lives. Threads may share it,
    as long as only one of them requests the same symbol at a time."""

    def __init__(
        self, cache: Path, connect: Callable[[], YahooSession] = YahooSession, timeout_seconds: float = 20
    ) -> None:
        """`cache` is yfinance's folder for cookies and time zones; `connect` is called at the first request."""
        cache.mkdir(parents=True, exist_ok=True)
        yf.set_tz_cache_location(str(cache))
        yf.config.debug.hide_exceptions = False  # else an error looks like an empty answer
        self._connect, self._timeout = connect, timeout_seconds
        self._tickers: dict[str, yf.Ticker] = {}

    def chart(self, request: BarRequest) -> Chart:
        """Return the bars that Yahoo has, without rows that have no price, and their splits and dividends.

        Raises:
            YahooError: there is no usable answer.
        """
        return self._call(request.symbol, lambda: self._chart(request))

    def daily_chart(self, symbol: str, since: datetime, now: datetime) -> Chart:
        """Daily bars from `since` on; splits and dividends are as Yahoo has them: in today's shares.

        Raises:
            YahooError: there is no usable answer.
        """
        return self.chart(BarRequest(symbol, "1d", since, now, now))

    def company(self, symbol: str, now: datetime) -> CompanyInfo:
        """Yahoo's facts about a company, as of its exchange's date at `now`.

        Raises:
            YahooError: there is no usable answer.
        """
        return self._call(symbol, lambda: self._company(symbol, now))

    def quotes(self, symbols: Sequence[str]) -> list[dict[str, Any]]:
        """Yahoo's newest rows about the symbols, in one request; symbols that it doesn't know are not among them.

        Raises:
            YahooError: there is no usable answer.
        """
        parameters = {"symbols": ",".join(symbols), "formatted": "false"}

        def fetch() -> list[dict[str, Any]]:
            data = YfData(session=self._session)
            answer = data.get_raw_json(_QUOTE_ADDRESS, params=parameters, timeout=self._timeout)
            return list(answer["quoteResponse"]["result"])

        return self._call(", ".join(symbols), fetch)

    def search(self, symbol: str) -> list[tuple[str, str]]:
        """Symbols like this one, with their names; the symbol itself comes first, if it exists.

        Raises:
            YahooError: there is no usable answer.
        """

        def fetch() -> list[tuple[str, str]]:
            search = yf.Search(symbol, max_results=8, news_count=0, lists_count=0, session=self._session)
            pairs = [(str(row["symbol"]), str(row.get("shortname", ""))) for row in search.quotes if "symbol" in row]
            return sorted(pairs, key=lambda pair: pair[0] != symbol)

        return self._call(symbol, fetch)

    @cached_property
    def _session(self) -> YahooSession:
        return self._connect()

    def _call(self, symbol: str, fetch: Callable[[], T]) -> T:
        """The result of `fetch`, which sends requests and parses the answers."""
        self._session.clear_last_answer()
        try:
            return fetch()
        except Exception as error:
            raise classify_error(error, self._session.last_answer, symbol) from error

    def _company(self, symbol: str, now: datetime) -> CompanyInfo:
        facts: Mapping[str, Any] = yf.Ticker(symbol, session=self._session).info
        if not facts or facts.get("quoteType") in (None, "NONE"):
            raise unknown_symbol(symbol)
        return company_from_info(symbol, facts, now)

    def _chart(self, request: BarRequest) -> Chart:
        # yfinance caches answers about the past in the process, and the producer runs for days.
        YfData.cache_get.cache_clear()
        ticker = self._ticker(request.symbol)
        try:
            frame: pd.DataFrame = ticker.history(
                start=request.begin,
                end=request.end,
                interval=request.interval,
                auto_adjust=False,
                prepost=request.extended,
                timeout=self._timeout,
            )
        except YFPricesMissingError as error:
            if "Data doesn't exist" in (error.yahoo_reason or ""):
                return Chart([], [])
            if error.yahoo_reason is None and _names_a_symbol(ticker):
                return Chart([], [])
            raise
        answer = self._session.last_answer
        chart = chart_from_frame(frame, request, ticker.get_history_metadata().get("currency"))
        return replace(chart, left_out=answer.left_out) if answer else chart

    def _ticker(self, symbol: str) -> yf.Ticker:
        """The symbol's ticker, kept because it holds the time zone."""
        if symbol not in self._tickers:
            # With the calendar's time zone yfinance sends one request less for each new symbol.
            get_tz_cache().store(symbol, timezone_of(exchange_of(symbol)))
            self._tickers[symbol] = yf.Ticker(symbol, session=self._session)
        return self._tickers[symbol]


def _names_a_symbol(ticker: yf.Ticker) -> bool:
    """Whether the answer has a symbol: an answer without bars has, an answer to a rejected crumb has not."""
    try:
        return "symbol" in ticker.get_history_metadata()
    except ValueError:  # from yfinance, for the empty list of trading periods of an answer without bars
        return True
