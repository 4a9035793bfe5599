"""Source yahoo against a server that answers as Yahoo does, through yfinance's and curl_cffi's own code."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from stock_assets.market.bars import Bar
from stock_assets.market.coverage import Coverage
from stock_assets.sources.protocol import SourceError
from stock_assets.sources.yahoo import LEAD, Manners, YahooSource
from stock_assets.sources.yahoo_client import YahooClient
from stock_assets_tests.services.yahoo import Market, YahooServer

FRIDAY_EVENING = datetime(2026, 11, 20, 23, tzinfo=UTC)  # New York has been closed for two hours
LAST_BAR = datetime(2026, 11, 20, 20, 58, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[YahooServer]:
    server = YahooServer()
    yield server
    server.close()


@pytest.fixture
def market(server: YahooServer) -> Market:
    fresh = Market()
    vars(server.market).update(vars(fresh))
    return server.market


@dataclass
class Clock:
    """A clock that a test sets."""

    time: datetime

    def __call__(self) -> datetime:
        return self.time


class Asked:
    """A source of some symbols, and what it has given so far."""

    def __init__(self, server: YahooServer, folder: Path, *symbols: str) -> None:
        self.clock = Clock(FRIDAY_EVENING)
        server.market.now = self.clock
        self.source = YahooSource(
            watched=lambda: symbols,
            interval="2m",
            history=timedelta(days=2),
            delay=timedelta(seconds=15),
            client=YahooClient(folder, server.session()),
            manners=Manners(per_minute=60_000),
            now=self.clock,
        )
        self.coverage: dict[str, Coverage] = {}

    def until_it_rests(self) -> list[Bar]:
        """Everything it gives until it would wait or end."""
        bars: list[Bar] = []
        stop = Event()
        for batch in self.source.batches(list(self.coverage.values()), stop):
            bars.extend(batch.bars)
            self.coverage.update({row.symbol: row for row in batch.coverage})
            pause = self.source.pause(self.coverage, self.clock())
            if pause is None or pause > timedelta(seconds=1):
                stop.set()
        return bars

    def once(self, time: datetime) -> list[Bar]:
        """What one round of requests at `time` gives; each symbol is asked once at most."""
        self.clock.time, stop = time, Event()
        bars: list[Bar] = []
        left = set(self.source.symbols)
        for batch in self.source.batches(list(self.coverage.values()), stop):
            bars.extend(batch.bars)
            self.coverage.update({row.symbol: row for row in batch.coverage})
            left -= {row.symbol for row in batch.coverage}
            if not left:
                stop.set()
        return bars


@pytest.fixture
def asked(server: YahooServer, market: Market, tmp_path: Path) -> Asked:
    return Asked(server, tmp_path, "AMZN", "AAPL")


def test_a_first_start_gives_every_bar_of_the_history_once(asked: Asked, market: Market) -> None:
    bars = asked.until_it_rests()
    for symbol in ("AMZN", "AAPL"):
        starts = [bar.start for bar in bars if bar.symbol == symbol]
        assert starts == sorted(set(starts))
        assert len(starts) == 3 * 195  # 18, 19 and 20 November at 2 minutes
        assert asked.coverage[symbol].covered_until == LAST_BAR
    assert asked.coverage["AMZN"].newest_bar == LAST_BAR
    assert bars[0].interval == "2m"
    assert len(market.charts()) == 2  # one request a symbol


def test_nothing_more_is_asked_for_until_monday_and_the_producer_rests(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    requests = len(market.charts())
    asked.clock.time = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert asked.until_it_rests() == []
    assert len(market.charts()) == requests
    rows = list(asked.coverage.values())
    monday = datetime(2026, 11, 23, 14, 32, 15, tzinfo=UTC)
    assert not asked.source.is_due(rows, monday - LEAD - timedelta(seconds=1))
    assert asked.source.is_due(rows, monday - LEAD)


def test_an_open_market_gives_each_bar_once_it_is_final(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    bars = asked.once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    assert {(bar.symbol, bar.start.minute) for bar in bars} == {("AMZN", 30), ("AAPL", 30)}
    bars = asked.once(datetime(2026, 11, 23, 14, 36, 16, tzinfo=UTC))
    assert sorted(bar.start.minute for bar in bars if bar.symbol == "AMZN") == [32, 34]


def test_a_bar_that_yahoo_corrects_is_given_again(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    asked.once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    first = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    market.corrected["AMZN", first] = 222.0
    bars = asked.once(datetime(2026, 11, 23, 14, 34, 16, tzinfo=UTC))
    assert next((bar.start, bar.close) for bar in bars if bar.symbol == "AMZN") == (first, 222.0)
    assert [bar.start.minute for bar in bars if bar.symbol == "AAPL"] == [32]


def test_rows_of_nulls_are_left_out_and_a_halt_is_covered(asked: Asked, market: Market) -> None:
    market.holes.add(datetime(2026, 11, 20, 15, tzinfo=UTC))
    market.halted["AAPL"] = (datetime(2026, 11, 20, 18, tzinfo=UTC), FRIDAY_EVENING)
    bars = asked.until_it_rests()
    assert len([bar for bar in bars if bar.symbol == "AMZN"]) == 3 * 195 - 1
    assert len([bar for bar in bars if bar.symbol == "AAPL"]) == 3 * 195 - 1 - 90
    assert asked.coverage["AAPL"].covered_until == LAST_BAR
    assert asked.coverage["AAPL"].newest_bar == datetime(2026, 11, 20, 17, 58, tzinfo=UTC)


def test_a_429_is_seen_as_one_and_holds_back_all_symbols(asked: Asked, market: Market) -> None:
    # Twice: yfinance tries once more with another cookie.
    market.ugly["AMZN"] = [(429, "text/plain", b"Too Many Requests")] * 2
    stop = Event()
    [batch] = [next(asked.source.batches([], stop))]
    assert batch.bars == []
    assert batch.coverage[0].last_answer.startswith("rate limited")
    assert asked.source.manners.refusals == 1
    assert asked.source.manners.held_until > 0


def test_an_unknown_symbol_rests_and_costs_the_others_nothing(asked: Asked, market: Market) -> None:
    market.unknown.add("AMZN")
    asked.once(FRIDAY_EVENING)
    assert asked.coverage["AMZN"].last_answer.startswith("unknown symbol")
    assert asked.coverage["AMZN"].next_due == FRIDAY_EVENING + timedelta(minutes=10)
    asked.once(FRIDAY_EVENING + timedelta(minutes=11))
    assert asked.coverage["AMZN"].next_due == FRIDAY_EVENING + timedelta(minutes=31)  # ever more rarely
    assert asked.coverage["AAPL"].covered_until == LAST_BAR


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        ((200, "text/html", b"<html>Will be right back...</html>"), 1),
        ((200, "application/json", b'{"chart": {"result": [{"meta": {"curr'), 1),
        ((500, "text/plain", b"oops"), 2),  # yfinance tries once more with another cookie
        ((401, "application/json", b'{"finance": {"error": {"description": "Invalid Crumb"}}}'), 2),
        ((200, "application/json", b'{"chart": {"result": [], "error": null}}'), 1),
    ],
)
def test_a_broken_answer_is_told_apart_from_an_empty_one_and_asked_for_again(
    asked: Asked, market: Market, answer: tuple[int, str, bytes], times: int
) -> None:
    market.ugly["AMZN"] = [answer] * times
    asked.once(FRIDAY_EVENING)
    row = asked.coverage["AMZN"]
    assert row.last_answer.startswith("broken answer")
    assert row.newest_bar is None
    bars = asked.once(FRIDAY_EVENING + timedelta(seconds=11))
    assert asked.coverage["AMZN"].covered_until == LAST_BAR
    assert {bar.symbol for bar in bars} == {"AMZN"}


def test_the_producer_stays_up_while_something_is_missing_even_on_a_weekend(asked: Asked, market: Market) -> None:
    market.ugly["AMZN"] = [(500, "text/plain", b"oops")] * 2
    asked.once(FRIDAY_EVENING)
    assert asked.source.pause(asked.coverage, FRIDAY_EVENING) == timedelta(seconds=10)
    asked.once(FRIDAY_EVENING + timedelta(seconds=11))
    assert asked.source.pause(asked.coverage, FRIDAY_EVENING + timedelta(seconds=11)) is None


def test_a_halt_in_an_open_market_is_covered_and_what_comes_late_is_still_given(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    half_past = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    market.holes.add(half_past)  # Yahoo has it a few minutes later than it should
    asked.once(half_past + timedelta(minutes=2, seconds=16))
    assert asked.coverage["AMZN"].covered_until == half_past
    market.holes.clear()
    bars = asked.once(half_past + timedelta(minutes=8, seconds=16))
    assert [bar.start.minute for bar in bars if bar.symbol == "AMZN"] == [30, 32, 34, 36]


def test_after_the_close_there_is_one_more_request_and_then_none(asked: Asked, market: Market) -> None:
    close = datetime(2026, 11, 20, 21, tzinfo=UTC)
    market.holes.add(LAST_BAR)
    asked.once(close + timedelta(seconds=16))
    later = close + timedelta(minutes=10, seconds=15)
    assert asked.coverage["AMZN"].next_due == later
    market.holes.clear()
    bars = asked.once(later + timedelta(seconds=1))
    assert {bar.start for bar in bars if bar.symbol == "AMZN"} == {LAST_BAR}
    assert asked.source.pause(asked.coverage, later + timedelta(seconds=2)) is None


def test_a_producer_that_starts_anew_publishes_the_overlap_again_and_loses_nothing(
    asked: Asked, market: Market, server: YahooServer, tmp_path: Path
) -> None:
    asked.until_it_rests()
    fresh = Asked(server, tmp_path, "AMZN", "AAPL")
    fresh.coverage = asked.coverage
    bars = fresh.once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    starts = sorted(bar.start for bar in bars if bar.symbol == "AMZN")
    assert starts[-1] == datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert starts[-2] == LAST_BAR


def test_a_symbol_that_was_never_asked_has_a_row_to_be_judged_by(asked: Asked) -> None:
    rows = asked.source.watched_rows([], FRIDAY_EVENING)
    assert [(row.symbol, row.newest_bar) for row in rows] == [("AMZN", None), ("AAPL", None)]


def test_an_open_market_keeps_the_producer_wanted_between_long_bars(asked: Asked, market: Market) -> None:
    asked.source.interval = "1h"
    noon = datetime(2026, 11, 20, 17, 5, tzinfo=UTC)
    asked.once(noon)
    assert asked.source.is_due(list(asked.coverage.values()), noon + timedelta(minutes=5))


def test_an_unknown_symbol_has_neighbours(asked: Asked, market: Market) -> None:
    market.facts |= {"AMD": {}, "AMZN": {}, "IBM": {}}
    client = asked.source.client
    assert client.nearest("AMZN")[0] == ("AMZN", "AMZN Inc.")
    assert [symbol for symbol, _ in client.nearest("AMZM")] == ["AMD", "AMZN"]


def test_a_symbol_that_is_removed_is_not_asked_for_and_not_judged(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    asked.source.watched = lambda: ("AAPL",)
    bars = asked.once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    assert {bar.symbol for bar in bars} == {"AAPL"}
    rows = asked.source.watched_rows(list(asked.coverage.values()), asked.clock())
    assert [row.symbol for row in rows] == ["AAPL"]


def test_company_facts_are_what_yahoo_has_and_null_where_it_has_none(asked: Asked, market: Market) -> None:
    market.facts["AMZN"] = {
        "marketCap": 2_345_678_901_234,
        "trailingPE": "Infinity",
        "forwardPE": 27.5,
        "currency": "USD",
    }
    companies = asked.source.companies(FRIDAY_EVENING)
    amazon = next(companies)
    assert (amazon.marketcap, amazon.trailingpe, amazon.sector) == (2_345_678_901_234, None, None)
    assert str(amazon.forwardpe) == "27.5"
    assert amazon.entry_date.isoformat() == "2026-11-20"
    with pytest.raises(SourceError, match=r"1 of 2 companies failed: Yahoo knows no symbol AAPL"):
        next(companies)


def test_an_interval_that_yahoo_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="BAR_INTERVAL=3m: Yahoo has no such bars"):
        YahooSource(tuple, "3m", timedelta(1), timedelta(0), YahooClient(tmp_path), Manners(1))
