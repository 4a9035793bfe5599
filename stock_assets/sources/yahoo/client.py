"""What Yahoo answers, through yfinance."""

from collections.abc import Callable, Mapping, Sequence
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

from stock_assets.market.adjustment import CorporateAction
from stock_assets.market.calendars import timezone_of
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.symbols import exchange_of
from stock_assets.pipeline.fetch_planner import BarRequest
from stock_assets.sources.yahoo.charts import Chart, chart_from_frame, company_from_info
from stock_assets.sources.yahoo.errors import AnswerKind, YahooError, classify_error
from stock_assets.sources.yahoo.session import YahooSession

REQUESTS_A_COMPANY = 3  # that yfinance makes for `info`: quoteSummary, quote and a time series

_QUOTE_ADDRESS = f"{_QUERY1_URL_}/v7/finance/quote"

T = TypeVar("T")


def cache_folder(home: Path) -> Path:
    """Where yfinance keeps cookies and time zones."""
    return home / "cache" / "yfinance"


class YahooClient:
    """Asks Yahoo; keeps its cookie, crumb and connections for as long as it lives. Threads may share it, each symbol
    being asked for by one at a time."""

    def __init__(
        self, cache: Path, connect: Callable[[], YahooSession] = YahooSession, timeout_seconds: float = 20
    ) -> None:
        """`cache` is yfinance's folder for cookies and time zones; `connect` is called once something is asked."""
        cache.mkdir(parents=True, exist_ok=True)
        yf.set_tz_cache_location(str(cache))
        yf.config.debug.hide_exceptions = False  # else a refusal looks like an empty answer
        self._connect, self._timeout = connect, timeout_seconds
        self._tickers: dict[str, yf.Ticker] = {}

    def chart(self, request: BarRequest) -> Chart:
        """The bars of a request, as Yahoo has them, rows without a price left out, and what happened to the share.

        Raises:
            YahooError: it refused.
        """
        return self._asked(request.symbol, lambda: self._chart(request))

    def actions(self, symbol: str, since: datetime, now: datetime) -> list[CorporateAction]:
        """Splits and dividends from `since` on, dividends as Yahoo has them: in shares of today.

        Raises:
            YahooError: it refused.
        """
        request = BarRequest(symbol, "1d", since, now, now)
        return self._asked(symbol, lambda: self._chart(request)).actions

    def company(self, symbol: str, now: datetime) -> CompanyInfo:
        """What Yahoo knows of a company, as of its exchange's date at `now`.

        Raises:
            YahooError: it refused.
        """
        facts: Mapping[str, Any] = self._asked(symbol, lambda: yf.Ticker(symbol, session=self._session).info)
        if not facts or facts.get("quoteType") in (None, "NONE"):
            raise YahooError(
                AnswerKind.UNKNOWN_SYMBOL,
                f"Yahoo knows no symbol {symbol}, or no longer; look it up on finance.yahoo.com",
            )
        return company_from_info(symbol, facts, now)

    def quotes(self, symbols: Sequence[str]) -> list[dict[str, Any]]:
        """Yahoo's newest rows about the symbols, in one request; what it doesn't know is left out.

        Raises:
            YahooError: it refused.
        """
        asked = {"symbols": ",".join(symbols), "formatted": "false"}

        def ask() -> list[dict[str, Any]]:
            data = YfData(session=self._session)
            answer = data.get_raw_json(_QUOTE_ADDRESS, params=asked, timeout=self._timeout)
            return list(answer["quoteResponse"]["result"])

        return self._asked(", ".join(symbols), ask)

    def nearest(self, symbol: str) -> list[tuple[str, str]]:
        """Symbols that exist and are like this one, with their names; itself first, where it exists.

        Raises:
            YahooError: it refused.
        """
        found = self._asked(
            symbol, lambda: yf.Search(symbol, max_results=8, news_count=0, lists_count=0, session=self._session).quotes
        )
        pairs = [(str(quote["symbol"]), str(quote.get("shortname", ""))) for quote in found if "symbol" in quote]
        return sorted(pairs, key=lambda pair: pair[0] != symbol)

    @cached_property
    def _session(self) -> YahooSession:
        return self._connect()

    def _asked(self, symbol: str, ask: Callable[[], T]) -> T:
        self._session.forget()
        try:
            return ask()
        except Exception as error:
            raise classify_error(error, self._session.last_answer, symbol) from error

    def _chart(self, request: BarRequest) -> Chart:
        # yfinance remembers answers about the past within a process; ours lives for days.
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
            if error.yahoo_reason is None and _is_about_a_symbol(ticker):
                return Chart([], [])
            raise
        return chart_from_frame(frame, request, ticker.get_history_metadata().get("currency"))

    def _ticker(self, symbol: str) -> yf.Ticker:
        """A symbol's own, which keeps its time zone and else nothing from one answer to the next."""
        if symbol not in self._tickers:
            # The calendar knows the time zone: one request less for each new symbol.
            get_tz_cache().store(symbol, timezone_of(exchange_of(symbol)))
            self._tickers[symbol] = yf.Ticker(symbol, session=self._session)
        return self._tickers[symbol]


def _is_about_a_symbol(ticker: yf.Ticker) -> bool:
    """An answer about a symbol that holds no bars names the symbol; a refused crumb doesn't."""
    try:
        return "symbol" in ticker.get_history_metadata()
    except ValueError:  # yfinance can't read an empty list of trading periods, which such an answer may have
        return True
