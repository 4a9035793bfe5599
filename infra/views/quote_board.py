"""Gathers what a board of prices shows: the list of symbols, what is stored of them, and how far the stream is."""

from collections.abc import Sequence
from datetime import datetime

from kafka.errors import KafkaError

from infra.views.prices import Prices, of_symbols, postgres_answers
from infra.views.table import Board
from spark_streaming.contract.schema import Source
from stock_assets.evaluations.prices import bar_exchange, evaluation_clock, freshness_rows
from stock_assets.evaluations.stream_lag import message_lag
from stock_assets.pipeline.quote_board import BoardRow, PeriodPrices, bar_end, board_row, display_period, shown_series
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage
from stock_assets.store.engine import make_engine


def load_board(settings: CodeLocationSettings, symbols: Sequence[str], now: datetime) -> Board:
    """The board at `now`: of `symbols`, or of all that the source is asked for.

    Raises:
        StackError: a server doesn't answer, or nothing is stored of one of the symbols; the message says what to do.
    """
    prices = Prices.from_settings(settings)
    ends = prices.ends()
    with postgres_answers(settings):
        coverage = make_source(settings).watched_rows(read_coverage(make_engine(settings.postgres)), now)
    clock = evaluation_clock(settings, coverage, now)
    newest = {series: end for series, (_, end) in ends.items()}
    verdicts = {(row.symbol, row.interval): row for row in freshness_rows(settings, coverage, newest, now)}
    of_symbols({**ends, **dict.fromkeys(verdicts)}, symbols)
    wanted = symbols or list(dict.fromkeys(symbol for symbol, _ in verdicts))
    of_board = {series: at for series, at in newest.items() if series in verdicts}
    shown = {symbol: (symbol, interval) for symbol, interval in shown_series(of_board, wanted)}
    exchanges = {symbol: bar_exchange(settings, symbol) for symbol in wanted}
    if settings.source is Source.REPLAY:  # its bars are judged when the newest of them is over
        clock = max((bar_end(exchanges[s], i, newest[s, i]) for s, i in shown.values()), default=clock)
    windows = {(s, i): display_period(exchanges[s], i, newest[s, i]) for s, i in shown.values()}
    days = prices.days(windows)
    trades = prices.trades(min((newest[series] for series in shown.values()), default=now))
    rows: list[BoardRow] = []
    for symbol in wanted:
        series = shown.get(symbol) or next(series for series in verdicts if series[0] == symbol)
        rows.append(
            board_row(exchanges[symbol], verdicts[series], days.get(series, PeriodPrices()), trades.get(symbol), clock)
        )
    return Board(settings.source, clock, rows, _lag(settings))


def _lag(settings: CodeLocationSettings) -> int | None:
    """None where Kafka can't be asked: the prices are worth a look all the same."""
    try:
        return message_lag(settings, KafkaResource.from_settings(settings))
    except (KafkaError, LookupError):
        return None
