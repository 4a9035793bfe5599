"""Gathers what the quote board shows: the watched symbols, their stored prices and freshness, and the stream's lag."""

from collections.abc import Sequence
from datetime import datetime

from kafka.errors import KafkaError

from infra.views.prices import PriceReader, explain_postgres_errors, require_stored
from infra.views.table import Board
from spark_streaming.contract.schema import Source
from stock_assets.evaluations.freshness import bar_exchange, evaluation_clock, freshness_rows
from stock_assets.evaluations.stream_lag import message_lag
from stock_assets.pipeline.quote_board import BoardRow, PeriodPrices, bar_end, board_row, display_period, shown_series
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage
from stock_assets.store.engine import make_engine


def load_board(settings: CodeLocationSettings, symbols: Sequence[str], now: datetime) -> Board:
    """Return the board at `now` (UTC) of `symbols`, or of all watched symbols where there are none.

    Raises:
        StackError: a server doesn't answer, or one of the symbols has no bars; the message has the remedy.
    """
    prices = PriceReader.from_settings(settings)
    ranges = prices.stored_ranges()
    with explain_postgres_errors(settings):
        coverage = make_source(settings).watched_rows(read_coverage(make_engine(settings.postgres)), now)
    clock = evaluation_clock(settings, coverage, now)
    newest = {series: end for series, (_, end) in ranges.items()}
    freshness = {(row.symbol, row.interval): row for row in freshness_rows(settings, coverage, newest, now)}
    require_stored({**ranges, **dict.fromkeys(freshness)}, symbols)
    wanted = symbols or list(dict.fromkeys(symbol for symbol, _ in freshness))
    watched = {series: at for series, at in newest.items() if series in freshness}
    shown = {symbol: (symbol, interval) for symbol, interval in shown_series(watched, wanted)}
    exchanges = {symbol: bar_exchange(settings, symbol) for symbol in wanted}
    if settings.source is Source.REPLAY:  # the clock of a replay is the end of its newest bar
        clock = max((bar_end(exchanges[s], i, newest[s, i]) for s, i in shown.values()), default=clock)
    periods = {(s, i): display_period(exchanges[s], i, newest[s, i]) for s, i in shown.values()}
    stored = prices.period_prices(periods)
    trades = prices.latest_trades(min((newest[series] for series in shown.values()), default=now))
    rows: list[BoardRow] = []
    for symbol in wanted:
        series = shown.get(symbol) or next(series for series in freshness if series[0] == symbol)
        period = stored.get(series, PeriodPrices())
        rows.append(board_row(exchanges[symbol], freshness[series], period, trades.get(symbol), clock))
    return Board(settings.source, clock, rows, _lag(settings))


def _lag(settings: CodeLocationSettings) -> int | None:
    """Return the messages that are not stored yet; None where Kafka is unavailable, which must not hide the prices."""
    try:
        return message_lag(settings, KafkaResource.from_settings(settings))
    except (KafkaError, LookupError):
        return None
