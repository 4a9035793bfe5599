"""Fetches for one symbol: a chart with the splits for which its prices are adjusted, and any fetch within the rate
limit, whose exceptions become failures of the symbol."""

import logging
from collections.abc import Callable
from datetime import datetime
from threading import Event
from typing import TypeVar

from stock_assets.pipeline.fetch_planner import BarRequest
from stock_assets.sources.base import FetchFailure
from stock_assets.sources.yahoo.charts import Chart
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.errors import AnswerKind, classify_error
from stock_assets.sources.yahoo.rate_limiter import RateLimiter

log = logging.getLogger("ingest")

T = TypeVar("T")


def fetch_chart(client: YahooClient, request: BarRequest, now: datetime) -> Chart:
    """The chart of a request. For a part of a long history the splits until `now` are fetched too: Yahoo has adjusted
    the prices for them.

    Raises:
        YahooError: there is no usable answer.
    """
    chart = client.chart(request)
    if not _is_part(request):
        return chart
    daily = client.daily_chart(request.symbol, request.begin, now)
    return Chart(chart.bars, daily.actions, daily.left_out)


def requests_for(request: BarRequest) -> int:
    """Return the number of HTTP requests that `fetch_chart` sends."""
    return 2 if _is_part(request) else 1


def _is_part(request: BarRequest) -> bool:
    """Whether it is a part of a long history, whose rest is fetched later."""
    return request.end <= request.target


def fetch_within_limit(
    rate_limiter: RateLimiter, symbol: str, requests: int, fetch: Callable[[], T]
) -> T | FetchFailure:
    """Wait until the rate limit allows so many requests; returns the result of `fetch`, or the failure if it raises."""
    rate_limiter.acquire(Event(), requests)
    try:
        found = fetch()
    except Exception as error:
        failure = classify_error(error, None, symbol)
        if failure.kind is AnswerKind.RATE_LIMITED:
            rate_limiter.back_off()
        if failure.kind is AnswerKind.BROKEN:
            log.warning("%s: %s", failure.kind, failure, exc_info=error)
        return FetchFailure(symbol, failure.kind, str(failure), is_final=failure.kind is AnswerKind.UNKNOWN_SYMBOL)
    rate_limiter.report_success()
    return found
