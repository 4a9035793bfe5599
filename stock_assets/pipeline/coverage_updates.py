"""How an answer or a failure of the source changes a symbol's coverage. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from spark_streaming.contract.backoff import delay_seconds
from stock_assets.market.bars import Bar, interval_length
from stock_assets.market.symbols import delay_of, exchange_of
from stock_assets.pipeline.coverage import MORE_TO_COME, Coverage, PermanentGap
from stock_assets.pipeline.fetch_planner import CORRECTION_PERIOD, BarRequest, next_final_time

_LONGEST_PAUSE_UNKNOWN = timedelta(days=1)  # for a symbol that the source doesn't know
_FIRST_PAUSE_UNKNOWN = timedelta(minutes=10)
_LONGEST_PAUSE = timedelta(hours=1)  # after any other failure
_FIRST_PAUSE = timedelta(seconds=10)
_EMPTY_PARTS = 3  # so often an empty part of a history is asked for again: the share may not have been listed yet


def is_suspiciously_empty(request: BarRequest, before: Coverage | None, bars: Sequence[Bar]) -> bool:
    """Return whether an answer without bars is a failure: such bars were published before, or should exist."""
    if bars:
        return False
    if before is not None and before.newest_bar is not None:
        return before.newest_bar >= request.begin
    failures = before.failures if before is not None else 0
    return request.end > request.target or failures < _EMPTY_PARTS


def after_answer(
    request: BarRequest, before: Coverage | None, bars: Sequence[Bar], origin: str, delay: timedelta, now: datetime
) -> Coverage:
    """Return the coverage once these bars are published; `delay` is what the source adds to a bar's end."""
    exchange = exchange_of(request.symbol)
    known = [before.newest_bar] if before is not None and before.newest_bar is not None else []
    newest = max([bar.start for bar in bars] + known, default=None)
    answer = f"{len(bars)} bars"
    if request.unavailable_since is not None:
        answer += f"; no longer available: since {request.unavailable_since:%Y-%m-%d %H:%MZ}"
    length = interval_length(request.interval) or timedelta(days=1)
    if request.end <= request.target:  # a part of a long history: the next one at once
        answer += f"; {MORE_TO_COME}"
        last = request.end - length
        return Coverage(request.symbol, request.interval, origin, last, newest, answer, now)
    # What the source doesn't have now, it may have in a few minutes: later requests overlap, and after the close there
    # is one more.
    over = request.target + length + delay + delay_of(exchange)  # another bar may have become final since
    due = next_final_time(exchange, request.interval, delay, min(over, now), extended=request.extended)
    settled = request.end + delay + delay_of(exchange) + CORRECTION_PERIOD
    if now < settled < due:
        due = settled
    return Coverage(request.symbol, request.interval, origin, request.target, newest, answer, due)


def permanent_gap(request: BarRequest) -> PermanentGap | None:
    """Return the bars that the source no longer offers, which were not requested; None where there are none."""
    if request.unavailable_since is None:
        return None
    return PermanentGap(
        request.symbol,
        request.interval,
        request.unavailable_since,
        request.begin,
        "no longer available from the source",
    )


def after_failure(
    request: BarRequest,
    before: Coverage | None,
    answer: str,
    origin: str,
    pause: timedelta,
    now: datetime,
    *,
    own: bool,
) -> Coverage:
    """Return when to ask again, `pause` from now; `own` failures are the symbol's alone."""
    row = before or Coverage(request.symbol, request.interval, origin, request.begin, None, "", None)
    return replace(row, last_answer=answer, next_due=now + pause, failures=row.failures + own)


def retry_delay(failures: int, *, is_unknown: bool) -> timedelta:
    """Return the pause after `failures` failed requests in a row for a symbol; doubles up to a limit."""
    first, longest = (_FIRST_PAUSE_UNKNOWN, _LONGEST_PAUSE_UNKNOWN) if is_unknown else (_FIRST_PAUSE, _LONGEST_PAUSE)
    return timedelta(seconds=delay_seconds(failures, first.total_seconds(), longest.total_seconds()))
