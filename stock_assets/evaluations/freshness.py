"""How fresh the newest stored bar of each series is. Imports no Dagster: `stocks watch` shows the same rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from spark_streaming.contract.schema import Source
from stock_assets.evaluations.evaluation import STACK_STARTUP_GRACE
from stock_assets.market.symbols import delay_of, exchange_for
from stock_assets.pipeline.coverage import UNKNOWN_SYMBOL, Coverage, covers_extended_hours
from stock_assets.pipeline.freshness import Freshness, evaluate_freshness, expected_newest
from stock_assets.settings import CodeLocationSettings


def evaluation_clock(settings: CodeLocationSettings, coverage: Sequence[Coverage], now: datetime) -> datetime:
    """Return the time by which bars are evaluated: a replay's clock is its newest published bar."""
    if settings.source is not Source.REPLAY:
        return now
    return max((row.newest_bar for row in coverage if row.newest_bar), default=now)


def freshness_rows(
    settings: CodeLocationSettings,
    coverage: Sequence[Coverage],
    newest: Mapping[tuple[str, str], datetime],
    now: datetime,
) -> list[Freshness]:
    """Return the freshness of each row of `coverage`, by symbol; `newest` is series -> start of its newest bar."""
    clock = evaluation_clock(settings, coverage, now)
    starting = settings.source is not Source.REPLAY and now - settings.stack_started_at < STACK_STARTUP_GRACE
    rows = []
    for row in sorted(coverage, key=lambda row: (row.symbol, row.interval)):
        stored = newest.get((row.symbol, row.interval))
        # Bars before the open and after the close are not expected before they were fetched, or had the time to be.
        extended = settings.covers_extended_hours(row.interval) and (covers_extended_hours(row) or not starting)
        expected = None if starting and stored is None else _expected(settings, row, clock, extended=extended)
        rows.append(evaluate_freshness(row.symbol, row.interval, stored, expected))
    return rows


def _expected(settings: CodeLocationSettings, row: Coverage, clock: datetime, *, extended: bool) -> datetime | None:
    if row.last_answer.startswith(UNKNOWN_SYMBOL):
        return row.newest_bar  # the source does not know it any more
    exchange = bar_exchange(settings, row.symbol)
    grace = timedelta(seconds=settings.freshness_grace_seconds)
    if settings.source is Source.YAHOO:
        grace += timedelta(seconds=settings.yahoo_delay_seconds) + delay_of(exchange)
    return expected_newest(exchange, row.interval, grace, row, clock, extended=extended)


def bar_exchange(settings: CodeLocationSettings, symbol: str) -> str:
    """Return the calendar by which a symbol's bars come: a simulation never closes."""
    return exchange_for(settings.source, symbol)
