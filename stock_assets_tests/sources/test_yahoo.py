"""Source yahoo against a server that answers as Yahoo does, through yfinance's and curl_cffi's own code."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event

import pytest

from stock_assets.market.bars import Bar, CompanyInfo
from stock_assets.market.coverage import Coverage
from stock_assets.sources.manners import Manners
from stock_assets.sources.protocol import Batch, Refusal, SourceError
from stock_assets.sources.yahoo import LEAD, YahooSource
from stock_assets.sources.yahoo_answers import Kind
from stock_assets.sources.yahoo_client import YahooClient
from stock_assets.sources.yahoo_memory import Memory
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
            client=YahooClient(folder, server.session, timeout_seconds=2),
            manners=Manners(folder / "turns.json", per_minute=60_000),
            now=self.clock,
        )
        self.coverage: dict[str, Coverage] = {}
        self.answers = Counter[str]()
        self.batches: list[Batch] = []

    def until_it_rests(self) -> list[Bar]:
        """Everything it gives until it would wait or end."""
        bars: list[Bar] = []
        stop = Event()
        for batch in self.source.batches(list(self.coverage.values()), stop):
            bars.extend(self._taken(batch))
            pause = self.source.pause(self.coverage, self.clock())
            if pause is None or pause > timedelta(seconds=1):
                stop.set()
        return bars

    def _taken(self, batch: Batch) -> Sequence[Bar]:
        self.batches.append(batch)
        self.coverage.update({row.symbol: row for row in batch.coverage})
        self.answers.update(batch.answers)
        return batch.bars

    def once(self, time: datetime) -> list[Bar]:
        """What one round of requests at `time` gives; each symbol is asked once at most."""
        self.clock.time, stop = time, Event()
        bars: list[Bar] = []
        left = set(self.source.symbols)
        for batch in self.source.batches(list(self.coverage.values()), stop):
            bars.extend(self._taken(batch))
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
    asked.source.concurrency = 1
    stop = Event()
    batch = next(asked.source.batches([], stop))
    assert batch.bars == []
    assert batch.coverage[0].last_answer.startswith("rate limited")
    assert batch.answers == {Kind.RATE_LIMITED: 1}
    assert asked.source.manners.turns.refusals == 1
    assert asked.source.manners.turn() > 25  # whoever asks next, of whatever symbol, in whatever program


def test_an_unknown_symbol_rests_and_costs_the_others_nothing(asked: Asked, market: Market) -> None:
    market.unknown.add("AMZN")
    asked.once(FRIDAY_EVENING)
    assert asked.coverage["AMZN"].last_answer.startswith("unknown symbol")
    assert asked.coverage["AMZN"].next_due == FRIDAY_EVENING + timedelta(minutes=10)
    asked.once(FRIDAY_EVENING + timedelta(minutes=11))
    assert asked.coverage["AMZN"].next_due == FRIDAY_EVENING + timedelta(minutes=31)  # ever more rarely
    assert asked.coverage["AAPL"].covered_until == LAST_BAR


@pytest.mark.parametrize(
    ("answer", "times", "kind"),
    [
        ((200, "text/html", b"<html>Will be right back...</html>"), 1, Kind.PAGE),
        ((200, "text/html", b"<!DOCTYPE html><html>Sign in</html>"), 1, Kind.PAGE),
        ((200, "application/json", b'{"chart": {"result": [{"meta": {"curr'), 1, Kind.BROKEN_JSON),
        ((500, "text/plain", b"oops"), 2, Kind.SERVER_ERROR),  # yfinance tries once more with another cookie
        ((502, "text/html", b"<html>Bad Gateway</html>"), 2, Kind.SERVER_ERROR),
        ((401, "application/json", b'{"finance": {"error": {"description": "Invalid Crumb"}}}'), 2, Kind.REFUSED_CRUMB),
        ((200, "application/json", b'{"chart": {"result": [], "error": null}}'), 1, Kind.BROKEN),
        ((200, "application/json", b"[]"), 1, Kind.BROKEN),
    ],
)
def test_each_refusal_is_told_apart_and_asked_for_again(
    asked: Asked, market: Market, answer: tuple[int, str, bytes], times: int, kind: Kind
) -> None:
    market.ugly["AMZN"] = [answer] * times
    asked.once(FRIDAY_EVENING)
    row = asked.coverage["AMZN"]
    assert row.last_answer.startswith(f"{kind}: ")
    assert (row.newest_bar, row.failures) == (None, 1)
    assert asked.answers == {kind: 1, Kind.OK: 1}
    bars = asked.once(FRIDAY_EVENING + timedelta(seconds=11))
    assert asked.coverage["AMZN"].covered_until == LAST_BAR
    assert asked.coverage["AMZN"].failures == 0
    assert {bar.symbol for bar in bars} == {"AMZN"}


def test_a_time_out_is_told_apart_and_holds_up_nobody_else(asked: Asked, market: Market) -> None:
    market.slow["AMZN"] = 3
    asked.once(FRIDAY_EVENING)
    assert asked.coverage["AMZN"].last_answer.startswith("timed out: ")
    assert [list(batch.answers) for batch in asked.batches] == [[Kind.OK], [Kind.TIMED_OUT]]


def test_a_server_that_is_not_there_is_told_apart(asked: Asked, tmp_path: Path) -> None:
    gone = YahooServer()
    gone.close()
    asked.source.client = YahooClient(tmp_path, gone.session, timeout_seconds=2)
    asked.once(FRIDAY_EVENING)
    assert asked.answers == {Kind.NOT_REACHABLE: 2}


def test_no_bar_where_there_were_some_is_a_refusal_and_in_a_halt_it_is_none(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    market.halted["AMZN"] = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    monday = datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC)
    asked.once(monday)  # asks from Friday's last minutes on, and Friday is gone
    assert asked.coverage["AMZN"].last_answer.startswith("empty answer: ")
    assert asked.coverage["AMZN"].covered_until == LAST_BAR
    market.halted["AMZN"] = (datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    asked.once(monday + timedelta(minutes=2))
    assert asked.coverage["AMZN"].covered_until == monday.replace(minute=32, second=0)
    assert asked.once(monday + timedelta(minutes=14))
    assert asked.coverage["AMZN"].last_answer == "0 bars"
    assert asked.answers[Kind.NO_BARS] == 1


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
        "country": "United States",
        "fullTimeEmployees": 1_546_000,
        "beta": 1.3,
        "trailingAnnualDividendYield": 0.0042,
        "dividendYield": 0.43,
        "earningsTimestamp": 1793221200,  # 28 October 2026: the last ones
        "earningsTimestampStart": 1801256400,  # 29 January 2027
        "earningsTimestampEnd": 1801688400,
    }
    amazon, apple = asked.source.companies(asked.source.symbols, FRIDAY_EVENING)
    assert isinstance(amazon, CompanyInfo)
    assert (amazon.marketcap, amazon.trailingpe, amazon.sector) == (2_345_678_901_234, None, None)
    assert str(amazon.forwardpe) == "27.5"
    assert (amazon.country, amazon.website, amazon.employees) == ("United States", None, 1_546_000)
    assert (str(amazon.beta), str(amazon.dividendyield)) == ("1.3", "0.0042")
    assert amazon.nextearnings == date(2027, 1, 29)
    assert amazon.entry_date == date(2026, 11, 20)
    assert isinstance(apple, Refusal)
    assert (apple.symbol, apple.kind, apple.is_final) == ("AAPL", Kind.UNKNOWN_SYMBOL, True)


def test_an_interval_that_yahoo_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="BAR_INTERVAL=3m: Yahoo has no such bars"):
        YahooSource(tuple, "3m", timedelta(1), timedelta(0), YahooClient(tmp_path), Manners(tmp_path / "turns", 1))


def test_bars_before_the_open_and_after_the_close_are_an_option(asked: Asked, market: Market) -> None:
    asked.source.extended = True
    bars = asked.until_it_rests()
    friday = [bar.start for bar in bars if bar.symbol == "AMZN" and bar.start.day == 20]
    assert friday[0] == datetime(2026, 11, 20, 9, tzinfo=UTC)  # 4:00 in New York
    assert friday[-1] == datetime(2026, 11, 20, 22, 56, tzinfo=UTC)  # that is how late it is; trade ends at 20:00
    assert len(friday) == len(set(friday)) == 30 * (23 - 9) - 1
    bars = asked.once(datetime(2026, 11, 20, 23, 2, 16, tzinfo=UTC))
    assert {bar.start.minute for bar in bars} == {58, 0}


def test_with_other_hours_the_history_begins_anew(asked: Asked) -> None:
    asked.until_it_rests()
    asked.source.extended = True
    assert {row.last_answer for row in asked.source.watched_rows(list(asked.coverage.values()), FRIDAY_EVENING)} == {
        "not asked yet"
    }


SPLIT_MORNING = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


def test_splits_and_dividends_are_given_beside_the_bars_as_declared(asked: Asked, market: Market) -> None:
    thursday = datetime(2026, 11, 19, 14, 30, tzinfo=UTC)
    market.splits["AMZN"] = {SPLIT_MORNING: (4, 1)}
    market.dividends["AMZN"] = {thursday: 0.205}  # in shares of Monday
    asked.clock.time, asked.source.history = datetime(2026, 11, 23, 23, tzinfo=UTC), timedelta(days=5)
    asked.until_it_rests()
    split, dividend = (action for batch in asked.batches for action in batch.actions)
    assert (str(split.kind), split.ex_date, split.value) == ("split", date(2026, 11, 23), Decimal(4))
    assert (str(dividend.kind), dividend.ex_date, dividend.currency) == ("dividend", date(2026, 11, 19), "USD")
    assert float(dividend.value) == pytest.approx(0.82)
    traded = 100 + (20 * 60 + 58) / 100 + len("AMZN")  # at 20:58 in UTC
    assert float(split.close_before or 0) == pytest.approx(traded, abs=1e-3)
    assert float(dividend.close_before or 0) == pytest.approx(traded, abs=1e-3)


def test_prices_from_before_a_split_are_those_that_were_traded(
    asked: Asked, market: Market, server: YahooServer, tmp_path: Path
) -> None:
    before = {bar.start: bar for bar in asked.until_it_rests() if bar.symbol == "AMZN"}
    market.splits["AMZN"] = {SPLIT_MORNING: (4, 1)}
    bars = asked.once(SPLIT_MORNING + timedelta(minutes=2, seconds=16))
    # Yahoo has divided Friday's prices by four, and that is no correction.
    assert [bar.start for bar in bars if bar.symbol == "AMZN"] == [SPLIT_MORNING]
    fresh = Asked(server, tmp_path, "AMZN")
    fresh.clock.time = asked.clock.time
    again = {bar.start: bar for bar in fresh.until_it_rests() if bar.symbol == "AMZN" and bar.start in before}
    assert LAST_BAR in again
    assert all(bar.close == pytest.approx(before[start].close, abs=1e-3) for start, bar in again.items())
    assert {bar.volume for bar in again.values()} == {1000}


def test_a_part_of_a_long_history_knows_of_splits_after_it(asked: Asked, market: Market) -> None:
    asked.source.interval, asked.source.history = "1m", timedelta(days=12)
    market.splits["AMZN"] = {datetime(2026, 11, 18, 14, 30, tzinfo=UTC): (2, 1)}
    bars = {bar.start: bar for bar in asked.until_it_rests() if bar.symbol == "AMZN"}
    first = min(bars)
    assert first == datetime(2026, 11, 6, 14, 30, tzinfo=UTC)
    assert bars[first].close == pytest.approx(market.close("AMZN", first) * 2)
    assert len(bars) == 11 * 390
    assert len([symbol for symbol, _ in market.charts() if symbol == "AMZN"]) == 5  # three parts, two questions


def test_requests_are_under_way_side_by_side_but_no_more_than_allowed(asked: Asked, market: Market) -> None:
    symbols = tuple(f"S{number:03d}" for number in range(24))
    asked.source.watched, asked.source.concurrency = (lambda: symbols), 6
    market.slow = dict.fromkeys(symbols, 0.2)
    asked.once(FRIDAY_EVENING)
    assert set(asked.coverage) == set(symbols)
    assert 1 < market.busiest <= 6


def test_a_budget_that_is_too_small_for_the_watchlist_is_told(
    asked: Asked, market: Market, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked.source.manners = Manners(tmp_path / "small.json", per_minute=2)
    asked.source.interval = "1m"
    next(asked.source.batches([], Event()))
    assert caplog.text == ""
    asked.source.watched = lambda: ("AMZN", "AAPL", "IBM")
    next(asked.source.batches([], Event()))
    assert "3 symbols at 1m need 3 requests a minute, and YAHOO_REQUESTS_PER_MINUTE is 2" in caplog.text


def test_a_symbol_is_never_asked_for_twice_at_once(asked: Asked, market: Market) -> None:
    market.slow["AMZN"] = 0.5
    asked.once(FRIDAY_EVENING)
    assert [symbol for symbol, _ in market.charts()].count("AMZN") == 1


def test_what_is_under_way_when_it_is_to_end_is_still_given(asked: Asked, market: Market) -> None:
    market.slow["AMZN"] = 0.5
    stop, symbols = Event(), []
    for batch in asked.source.batches([], stop):
        symbols += [row.symbol for row in batch.coverage]
        stop.set()
    assert symbols == ["AAPL", "AMZN"]


def test_a_dead_symbol_is_reported_once_and_rests_longer_than_a_producer_lives(
    asked: Asked, market: Market, server: YahooServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    market.unknown.add("AMZN")
    asked.once(FRIDAY_EVENING)
    assert "AMZN" in caplog.text
    caplog.clear()
    fresh = Asked(server, tmp_path, "AMZN", "AAPL")  # as after a restart
    fresh.coverage = asked.coverage
    caplog.set_level("WARNING")
    fresh.once(FRIDAY_EVENING + timedelta(minutes=11))
    assert fresh.coverage["AMZN"].next_due == FRIDAY_EVENING + timedelta(minutes=31)
    assert caplog.text == ""


def test_what_yahoo_no_longer_sells_is_a_gap_that_is_written_down(asked: Asked) -> None:
    asked.until_it_rests()
    february = datetime(2027, 2, 26, 23, tzinfo=UTC)
    asked.once(february)
    [gap] = [gap for batch in asked.batches for gap in batch.gaps if gap.symbol == "AMZN"]
    assert gap.begins_at == LAST_BAR + timedelta(minutes=2)
    assert gap.ends_at == february - timedelta(days=60) + timedelta(minutes=2)


def test_the_newest_splits_and_dividends_are_asked_for_by_the_day(asked: Asked, market: Market) -> None:
    market.dividends["AMZN"] = {datetime(2026, 5, 7, 14, 30, tzinfo=UTC): 0.5}
    market.unknown.add("AAPL")
    amazon, apple = asked.source.actions(asked.source.symbols, FRIDAY_EVENING)
    assert not isinstance(amazon, Refusal)
    [dividend] = amazon
    assert (dividend.ex_date, float(dividend.value)) == (date(2026, 5, 7), 0.5)
    assert dividend.close_before is not None
    assert isinstance(apple, Refusal)


def test_a_session_is_asked_for_again_as_it_was_traded(asked: Asked) -> None:
    given = [bar for bar in asked.until_it_rests() if bar.symbol == "AMZN" and bar.start.day == 20]
    another = YahooSource(**{**vars(asked.source), "_memory": Memory()})  # a repair is a process of its own
    opened, closed = given[0].start, given[-1].start + timedelta(minutes=2)
    assert another.bars_between("AMZN", "2m", opened, closed) == given


def test_what_yahoo_no_longer_sells_is_an_error_that_says_since_when(asked: Asked) -> None:
    begin = FRIDAY_EVENING - timedelta(days=61)
    with pytest.raises(SourceError, match="AMZN: Yahoo sells 2m bars since 2026-09-21 only"):
        asked.source.bars_between("AMZN", "2m", begin, begin + timedelta(hours=7))


def test_a_refusal_to_say_is_no_empty_answer(asked: Asked, market: Market) -> None:
    market.unknown.add("AMZN")
    with pytest.raises(SourceError, match="AMZN"):
        asked.source.bars_between("AMZN", "2m", FRIDAY_EVENING - timedelta(hours=8), FRIDAY_EVENING)
