"""Companies, splits and dividends of source yahoo, and prices from before a split."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from stock_assets.market.companies import CompanyInfo
from stock_assets.sources.base import FetchFailure
from stock_assets.sources.yahoo.errors import AnswerKind
from stock_assets_tests.services.yahoo import Market, YahooServer
from stock_assets_tests.sources.yahoo.harness import FRIDAY_EVENING, LAST_BAR, SourceHarness


def test_search_finds_similar_symbols(harness: SourceHarness, market: Market) -> None:
    market.facts |= {"AMD": {}, "AMZN": {}, "IBM": {}}
    client = harness.source.client
    assert client.search("AMZN")[0] == ("AMZN", "AMZN Inc.")
    assert [symbol for symbol, _ in client.search("AMZM")] == ["AMD", "AMZN"]


def test_company_facts_are_null_where_yahoo_has_none(harness: SourceHarness, market: Market) -> None:
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
        "earningsTimestamp": 1793221200,  # 28 October 2026: the last earnings
        "earningsTimestampStart": 1801256400,  # 29 January 2027
        "earningsTimestampEnd": 1801688400,
    }
    amazon, apple = harness.source.companies(harness.source.symbols, FRIDAY_EVENING)
    assert isinstance(amazon, CompanyInfo)
    assert (amazon.marketcap, amazon.trailingpe, amazon.sector) == (2_345_678_901_234, None, None)
    assert str(amazon.forwardpe) == "27.5"
    assert (amazon.country, amazon.website, amazon.employees) == ("United States", None, 1_546_000)
    assert (str(amazon.beta), str(amazon.dividendyield)) == ("1.3", "0.0042")
    assert amazon.nextearnings == date(2027, 1, 29)
    assert amazon.entry_date == date(2026, 11, 20)
    assert isinstance(apple, FetchFailure)
    assert (apple.symbol, apple.kind, apple.is_final) == ("AAPL", AnswerKind.UNKNOWN_SYMBOL, True)


SPLIT_MORNING = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


def test_splits_and_dividends_are_given_with_the_bars_as_declared(harness: SourceHarness, market: Market) -> None:
    thursday = datetime(2026, 11, 19, 14, 30, tzinfo=UTC)
    market.splits["AMZN"] = {SPLIT_MORNING: (4, 1)}
    market.dividends["AMZN"] = {thursday: 0.205}  # in Monday's shares
    harness.clock.time, harness.source.history = datetime(2026, 11, 23, 23, tzinfo=UTC), timedelta(days=5)
    harness.run_until_idle()
    split, dividend = (action for batch in harness.batches for action in batch.actions)
    assert (str(split.kind), split.ex_date, split.value) == ("split", date(2026, 11, 23), Decimal(4))
    assert (str(dividend.kind), dividend.ex_date, dividend.currency) == ("dividend", date(2026, 11, 19), "USD")
    assert float(dividend.value) == pytest.approx(0.82)
    traded = 100 + (20 * 60 + 58) / 100 + len("AMZN")  # at 20:58 in UTC
    assert float(split.close_before or 0) == pytest.approx(traded, abs=1e-3)
    assert float(dividend.close_before or 0) == pytest.approx(traded, abs=1e-3)


def test_prices_from_before_a_split_are_given_as_traded(
    harness: SourceHarness, market: Market, server: YahooServer, tmp_path: Path
) -> None:
    before = {bar.start: bar for bar in harness.run_until_idle() if bar.symbol == "AMZN"}
    market.splits["AMZN"] = {SPLIT_MORNING: (4, 1)}
    bars = harness.run_once(SPLIT_MORNING + timedelta(minutes=2, seconds=16))
    # Yahoo has divided Friday's prices by four; these are not corrected bars.
    assert [bar.start for bar in bars if bar.symbol == "AMZN"] == [SPLIT_MORNING]
    fresh = SourceHarness(server, tmp_path, "AMZN")
    fresh.clock.time = harness.clock.time
    again = {bar.start: bar for bar in fresh.run_until_idle() if bar.symbol == "AMZN" and bar.start in before}
    assert LAST_BAR in again
    assert all(bar.close == pytest.approx(before[start].close, abs=1e-3) for start, bar in again.items())
    assert {bar.volume for bar in again.values()} == {1000}


def test_a_part_of_a_long_history_is_adjusted_for_later_splits(harness: SourceHarness, market: Market) -> None:
    harness.source.interval, harness.source.history = "1m", timedelta(days=12)
    market.splits["AMZN"] = {datetime(2026, 11, 18, 14, 30, tzinfo=UTC): (2, 1)}
    bars = {bar.start: bar for bar in harness.run_until_idle() if bar.symbol == "AMZN"}
    first = min(bars)
    assert first == datetime(2026, 11, 6, 14, 30, tzinfo=UTC)
    assert bars[first].close == pytest.approx(market.close("AMZN", first) * 2)
    assert len(bars) == 11 * 390
    assert (
        len([symbol for symbol, _ in market.charts() if symbol == "AMZN"]) == 5
    )  # three parts, two of them with splits


def test_the_newest_splits_and_dividends_are_fetched_with_daily_bars(harness: SourceHarness, market: Market) -> None:
    market.dividends["AMZN"] = {datetime(2026, 5, 7, 14, 30, tzinfo=UTC): 0.5}
    market.unknown.add("AAPL")
    amazon, apple = harness.source.actions(harness.source.symbols, FRIDAY_EVENING)
    assert not isinstance(amazon, FetchFailure)
    [dividend] = amazon
    assert (dividend.ex_date, float(dividend.value)) == (date(2026, 5, 7), 0.5)
    assert dividend.close_before is not None
    assert isinstance(apple, FetchFailure)
