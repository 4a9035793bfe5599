"""Turns answers and failures of Yahoo into bars to publish, the new coverage and the time of the next request. An
answer affects its own symbol only."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from stock_assets.pipeline.coverage import UNKNOWN_SYMBOL, Coverage
from stock_assets.pipeline.coverage_updates import (
    after_answer,
    after_failure,
    is_suspiciously_empty,
    permanent_gap,
    retry_delay,
)
from stock_assets.pipeline.extended_hours import uncovered
from stock_assets.pipeline.fetch_planner import BarRequest
from stock_assets.sources.base import SourceBatch
from stock_assets.sources.yahoo.charts import Chart
from stock_assets.sources.yahoo.errors import AnswerKind, YahooError, classify_error
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.recent_bars import RecentBars
from stock_assets.sources.yahoo.request_pool import CompletedRequest

log = logging.getLogger("ingest")


def left_out_text(symbol: str, event: str) -> str:
    """Return the text that reports a split or dividend that is not stored."""
    return f"{symbol}: Yahoo has a {event}, which is not usable for adjusting prices; it is not stored"


class AnswerHandler:
    """Turns completed requests into batches."""

    def __init__(self, origin: str, delay: timedelta, recent_bars: RecentBars, rate_limiter: RateLimiter) -> None:
        """`delay` is the time from a bar's end until the bar is final."""
        self._origin, self._delay = origin, delay
        self._recent_bars, self._rate_limiter = recent_bars, rate_limiter
        self._reported = set[str]()

    def handle(self, completed: Iterable[CompletedRequest], rows: Mapping[str, Coverage], now: datetime) -> SourceBatch:
        """One batch of all completed requests; `rows` maps a symbol to its coverage."""
        batches = []
        for request, future in completed:
            before = rows.get(request.symbol)
            try:
                batches.append(self._from_chart(request, before, future.result(), now))
            except Exception as error:  # any content of an answer is at most a failure of its symbol
                failure = classify_error(error, None, request.symbol)
                batches.append(self._from_failure(request, before, failure, error, now))
        return SourceBatch(
            bars=[bar for batch in batches for bar in batch.bars],
            coverage=[row for batch in batches for row in batch.coverage],
            left_out=[text for batch in batches for text in batch.left_out],
            actions=[action for batch in batches for action in batch.actions],
            gaps=[gap for batch in batches for gap in batch.gaps],
            answers=sum((Counter(batch.answers) for batch in batches), Counter[str]()),
        )

    def _from_chart(self, request: BarRequest, before: Coverage | None, chart: Chart, now: datetime) -> SourceBatch:
        if is_suspiciously_empty(request, before, chart.bars):
            raise YahooError(AnswerKind.EMPTY, f"{request.symbol}: no bar since {request.begin:%Y-%m-%d %H:%MZ}")
        row = after_answer(request, before, chart.bars, self._origin, self._delay, now)
        previous = None if request.adds_hours else before
        new_bars, actions = self._recent_bars.read(request, previous, chart, self._delay, now)
        bars = uncovered(request, before, new_bars)
        if request.adds_hours:
            log.info(
                "%s %s: bars before the open and after the close are added since %s; older ones are not fetched",
                request.symbol, request.interval, request.begin,
            )  # fmt: skip
        self._rate_limiter.report_success()
        gap = permanent_gap(request)
        if gap is not None:
            log.warning("%s %s: %s, from %s to %s", gap.symbol, gap.interval, gap.why, gap.begins_at, gap.ends_at)
        left_out = [
            text for event in chart.left_out if (text := left_out_text(request.symbol, event)) not in self._reported
        ]
        self._reported.update(left_out)
        kind = AnswerKind.OK if chart.bars else AnswerKind.NO_BARS
        return SourceBatch(bars, [row], left_out, actions, gaps=[gap] if gap else [], answers={kind: 1})

    def _from_failure(
        self, request: BarRequest, before: Coverage | None, failure: YahooError, error: Exception, now: datetime
    ) -> SourceBatch:
        is_unknown = failure.kind is AnswerKind.UNKNOWN_SYMBOL
        own = failure.kind is not AnswerKind.RATE_LIMITED  # a failure of this symbol, not of all
        failures = (before.failures if before else 0) + 1
        pause = retry_delay(failures, is_unknown=is_unknown) if own else self._rate_limiter.back_off()
        answer = f"{failure.kind}: {failure}"
        row = after_failure(request, before, answer, self._origin, pause, now, own=own)
        reported = is_unknown and before is not None and before.last_answer.startswith(UNKNOWN_SYMBOL)
        log.log(
            logging.INFO if reported else logging.WARNING,
            "%s; next request at %s", answer, f"{row.next_due:%H:%M:%SZ}",
            exc_info=error if failure.kind is AnswerKind.BROKEN else None,
        )  # fmt: skip
        return SourceBatch([], [row], answers={failure.kind: 1})
