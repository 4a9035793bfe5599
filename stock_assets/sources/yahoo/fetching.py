"""One fetch for one symbol: a chart with the splits that its prices are adjusted for, and a fetch within the rate
limit that turns whatever fails into a failure of the symbol."""

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
    """The chart of a request; for a part of a history with the splits until `now`, for which Yahoo has adjusted its
    prices.

    Raises:
        YahooError: there is no usable answer.
    """
    chart = client.chart(request)
    if not _is_part(request):
        return chart
    daily = client.daily_chart(request.symbol, request.begin, now)
    return Chart(chart.bars, daily.actions, daily.left_out)


def requests_for(request: BarRequest) -> int:
    """How many HTTP requests `fetch_chart` sends."""
    return 2 if _is_part(request) else 1


def _is_part(request: BarRequest) -> bool:
    """Whether more of a long history is to come."""
    return request.end <= request.target


def fetch_within_limit(
    rate_limiter: RateLimiter, symbol: str, requests: int, fetch: Callable[[], T]
) -> T | FetchFailure:
    """What `fetch` returns, once the rate limit allows so many requests; whatever it raises is the symbol's failure."""
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
