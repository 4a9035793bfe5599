"""What EXTENDED_HOURS, switched on or off, changes in what is covered and asked for. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from stock_assets.market.bars import Bar, interval_length
from stock_assets.market.symbols import delay_of, exchange_of
from stock_assets.market.trading_hours import has_extended_hours, trading_interval_at
from stock_assets.pipeline.coverage import Coverage, covers_extended_hours
from stock_assets.pipeline.fetch_planner import BarRequest, next_final_time, overlap_of


def with_hours(row: Coverage, delay: timedelta, *, extended: bool) -> Coverage:
    """Return the coverage of a row for the hours in use; `delay` is what the source adds to a bar's end.

    Where the hours before the open and after the close are added, the symbol is due at once. Where they are left out
    from now on, it is due when the next bar of a session is final; what is covered stays covered.
    """
    exchange = exchange_of(row.symbol)
    if extended == covers_extended_hours(row) or not has_extended_hours(exchange):
        return row
    if extended:
        return replace(row, next_due=row.covered_until)
    length = interval_length(row.interval) or timedelta(days=1)
    due = next_final_time(exchange, row.interval, delay, row.covered_until + length + delay + delay_of(exchange))
    return replace(row, next_due=max(row.next_due or due, due))


def uncovered(request: BarRequest, before: Coverage | None, bars: Sequence[Bar]) -> list[Bar]:
    """Return the bars of an answer without the session's own bars that are older than the newest published one.

    A history that is fetched again for the hours before the open and after the close has them, too.
    """
    if before is None or before.newest_bar is None or not request.extended:
        return list(bars)
    exchange, corrected_since = exchange_of(request.symbol), before.newest_bar - overlap_of(request.interval)
    return [bar for bar in bars if bar.start >= corrected_since or not _is_in_session(exchange, bar.start)]


def _is_in_session(exchange: str, moment: datetime) -> bool:
    session = trading_interval_at(exchange, moment)
    return session.opened <= moment < session.closed
