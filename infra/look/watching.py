"""Gathers what a board of prices shows: the list of symbols, what is stored of them, and how far the stream is."""

from collections.abc import Sequence
from datetime import datetime

from kafka.errors import KafkaError

from infra.look.prices import Prices, of_symbols, postgres_answers
from infra.look.table import Board
from spark_streaming.contract.schema import Source
from stock_assets.defs.prices.backlog import lag_of
from stock_assets.defs.prices.judgement import clock_of, exchange_of_bars, freshness_rows
from stock_assets.market.board import Day, Row, bar_end, row_of, shown_series, window_of
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.choose import source_of
from stock_assets.store.coverage import read_coverage
from stock_assets.store.engine import engine_of


def look(settings: CodeLocationSettings, symbols: Sequence[str], now: datetime) -> Board:
    """The board at `now`: of `symbols`, or of all that the source is asked for.

    Raises:
        StackError: a server doesn't answer, or nothing is stored of one of the symbols; the message says what to do.
    """
    prices = Prices.of(settings)
    ends = prices.ends()
    with postgres_answers(settings):
        coverage = source_of(settings).watched_rows(read_coverage(engine_of(settings.postgres)), now)
    clock = clock_of(settings, coverage, now)
    newest = {series: end for series, (_, end) in ends.items()}
    verdicts = {(row.symbol, row.interval): row for row in freshness_rows(settings, coverage, newest, now)}
    of_symbols({**ends, **dict.fromkeys(verdicts)}, symbols)
    wanted = symbols or list(dict.fromkeys(symbol for symbol, _ in verdicts))
    of_board = {series: at for series, at in newest.items() if series in verdicts}
    shown = {symbol: (symbol, interval) for symbol, interval in shown_series(of_board, wanted)}
    exchanges = {symbol: exchange_of_bars(settings, symbol) for symbol in wanted}
    if settings.source is Source.REPLAY:  # its bars are judged when the newest of them is over
        clock = max((bar_end(exchanges[s], i, newest[s, i]) for s, i in shown.values()), default=clock)
    windows = {(s, i): window_of(exchanges[s], i, newest[s, i]) for s, i in shown.values()}
    days = prices.days(windows)
    trades = prices.trades(min((newest[series] for series in shown.values()), default=now))
    rows: list[Row] = []
    for symbol in wanted:
        series = shown.get(symbol) or next(series for series in verdicts if series[0] == symbol)
        rows.append(row_of(exchanges[symbol], verdicts[series], days.get(series, Day()), trades.get(symbol), clock))
    return Board(settings.source, clock, rows, _lag(settings))


def _lag(settings: CodeLocationSettings) -> int | None:
    """None where Kafka can't be asked: the prices are worth a look all the same."""
    try:
        return lag_of(settings, KafkaResource.of(settings))
    except (KafkaError, LookupError):
        return None
