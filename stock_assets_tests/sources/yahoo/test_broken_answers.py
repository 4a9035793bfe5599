"""Any content of an answer is at most a failure of its symbol: counted, logged and retried."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stock_assets.market.adjustment import ActionKind
from stock_assets.market.companies import CompanyInfo
from stock_assets.sources.base import FetchFailure
from stock_assets.sources.yahoo.errors import AnswerKind
from stock_assets_tests.services.yahoo import Market, YahooServer
from stock_assets_tests.sources.yahoo.harness import FRIDAY_EVENING, LAST_BAR, SourceHarness

FRIDAY_OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
CHART = "https://query2.finance.yahoo.com/v8/finance/chart/AMZN"
BARS = 3 * 195  # of 18, 19 and 20 November at 2 minutes


@pytest.mark.parametrize("ratio", [(1, 0), (0, 1), (0, 0), (math.nan, 1), (math.inf, 1), (-1, 1)])
def test_a_split_without_a_valid_ratio_is_reported_and_not_stored_and_bars_are_given(
    harness: SourceHarness, market: Market, ratio: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    market.splits["AMZN"] = {FRIDAY_OPEN: ratio}
    market.dividends["AMZN"] = {FRIDAY_OPEN - timedelta(days=1): 0.5}
    bars = harness.run_until_idle()
    assert [len([bar for bar in bars if bar.symbol == symbol]) for symbol in ("AMZN", "AAPL")] == [BARS, BARS]
    assert {action.kind for batch in harness.batches for action in batch.actions} == {ActionKind.DIVIDEND}
    [reported] = [text for batch in harness.batches for text in batch.left_out]
    assert reported.startswith(f"AMZN: Yahoo has a split {ratio[0]}:{ratio[1]} on 2026-11-20, which")
    harness.run_once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    assert len([text for batch in harness.batches for text in batch.left_out]) == 1  # once, not with each request
    actions, _ = harness.source.actions(["AMZN", "AAPL"], FRIDAY_EVENING)
    assert not isinstance(actions, FetchFailure)
    assert [action.kind for action in actions] == [ActionKind.DIVIDEND]
    assert "Yahoo has a split" in caplog.text


@pytest.mark.parametrize("amount", [0, -0.5, math.nan, math.inf])
def test_an_invalid_dividend_is_reported_and_not_stored(harness: SourceHarness, market: Market, amount: float) -> None:
    market.dividends["AMZN"] = {FRIDAY_OPEN: amount}
    assert len([bar for bar in harness.run_until_idle() if bar.symbol == "AMZN"]) == BARS
    assert [action for batch in harness.batches for action in batch.actions] == []
    [reported] = [text for batch in harness.batches for text in batch.left_out]
    assert "AMZN: Yahoo has a dividend of" in reported


def test_characters_that_postgresql_rejects_are_removed_from_an_error_message(
    harness: SourceHarness, market: Market
) -> None:
    error = {"chart": {"result": None, "error": {"code": "\0", "description": "a\0b\ud800"}}}
    market.bad_answers["AMZN"] = [(200, "application/json", json.dumps(error).encode())]
    harness.run_once(FRIDAY_EVENING)
    answer = harness.coverage["AMZN"].last_answer
    assert "\0" not in answer
    answer.encode()


def test_company_facts_that_can_not_be_stored_are_null(harness: SourceHarness, market: Market) -> None:
    market.facts["AMZN"] = {
        "currency": "U\0SD",
        "country": {"name": "United States"},
        "website": "\ud800",
        "marketCap": 10**30,
        "fullTimeEmployees": "many",
        "beta": "1e999999",
        "forwardPE": [1],
        "earningsTimestampStart": 10**30,
        "earningsTimestampEnd": 253402300800,  # the year 10000
    }
    market.facts["AAPL"] = {"currency": "USD"}
    amazon, apple = harness.source.companies(harness.source.symbols, FRIDAY_EVENING)
    assert isinstance(amazon, CompanyInfo)
    facts = {name: value for name, value in amazon.row().items() if value is not None}
    assert facts == {"entry_date": FRIDAY_EVENING.date(), "symbol": "AMZN", "currency": "USD", "website": "?"}
    assert isinstance(apple, CompanyInfo)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\0", "\ud800", 0, 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS: list[list[str | int]] = [
    [],
    ["meta"],
    ["meta", "currency"],
    ["meta", "gmtoffset"],
    ["meta", "exchangeTimezoneName"],
    ["meta", "tradingPeriods"],
    ["timestamp"],
    ["timestamp", 0],
    ["indicators"],
    ["indicators", "quote"],
    ["indicators", "quote", 0, "close"],
    ["indicators", "quote", 0, "close", 0],
    ["indicators", "quote", 0, "high", 1],
    ["indicators", "quote", 0, "volume", 0],
    ["events"],
    ["events", "splits"],
    ["events", "splits", "1"],
    ["events", "splits", "1", "date"],
    ["events", "splits", "1", "numerator"],
    ["events", "splits", "1", "denominator"],
    ["events", "dividends"],
    ["events", "dividends", "1", "amount"],
]


@pytest.fixture(scope="module")
def chart(server: YahooServer) -> dict[str, Any]:
    """A chart of the server, with a split and a dividend."""
    vars(server.market).update(vars(Market()))
    server.market.now = lambda: FRIDAY_EVENING
    begin, end = (int((FRIDAY_EVENING - timedelta(days=days)).timestamp()) for days in (3, 0))
    query = {"interval": "2m", "period1": str(begin), "period2": str(end)}
    made: dict[str, Any] = json.loads(server.session().get(CHART, params=query).content)["chart"]["result"][0]
    at = int(FRIDAY_OPEN.timestamp())
    made["events"] = {
        "splits": {"1": {"date": at, "numerator": 2, "denominator": 1}},
        "dividends": {"1": {"date": at, "amount": 0.5}},
    }
    return made


def replaced(value: Any, path: list[str | int], new: object) -> Any:
    """A copy of a JSON value with another value at `path`."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def answer(chart: dict[str, Any], path: list[str | int], value: object) -> tuple[int, str, bytes]:
    """A response whose chart has another value at `path`."""
    body = json.dumps({"chart": {"result": [replaced(chart, path, value)], "error": None}})
    return 200, "application/json", body.encode()


SPLIT_OF_ONE = {"splits": {"1": {"date": int(FRIDAY_OPEN.timestamp()), "numerator": 1, "denominator": 1}}}
TINY = {"1": {"date": int(FRIDAY_OPEN.timestamp()), "numerator": 1e-300, "denominator": 1e10}}


def test_an_answer_that_raises_when_used_is_logged_with_its_traceback_and_retried(
    harness: SourceHarness, market: Market, chart: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    market.bad_answers["AMZN"] = [answer(chart, ["events", "splits"], TINY)]  # makes a volume too large for a float
    bars = harness.run_once(FRIDAY_EVENING)
    assert {bar.symbol for bar in bars} == {"AAPL"}
    assert harness.coverage["AAPL"].covered_until == LAST_BAR
    row = harness.coverage["AMZN"]
    assert row.last_answer.startswith("broken answer: AMZN: OverflowError")
    assert (row.failures, row.next_due) == (1, FRIDAY_EVENING + timedelta(seconds=10))
    assert harness.answers == {AnswerKind.BROKEN: 1, AnswerKind.OK: 1}
    assert "Traceback" in caplog.text


def test_the_bars_of_an_answer_that_failed_are_given_once_it_succeeds(
    harness: SourceHarness, market: Market, chart: dict[str, Any]
) -> None:
    market.bad_answers["AMZN"] = [answer(chart, ["events", "splits"], TINY), answer(chart, ["events"], SPLIT_OF_ONE)]
    harness.run_once(FRIDAY_EVENING)
    bars = harness.run_once(FRIDAY_EVENING + timedelta(seconds=11))
    assert [len([bar for bar in bars if bar.symbol == symbol]) for symbol in ("AMZN", "AAPL")] == [BARS, 0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(FIELDS), value=JSON)
@example(path=["events", "splits", "1", "denominator"], value=0)
@example(path=["events", "splits", "1", "numerator"], value=1e-320)
@example(path=["meta", "currency"], value="\0\ud800")
@example(path=["indicators", "quote", 0, "volume", 0], value=math.inf)
def test_an_arbitrary_value_in_a_chart_neither_ends_the_source_nor_affects_another_symbol(
    server: YahooServer, market: Market, tmp_path: Path, chart: dict[str, Any], path: list[str | int], value: object
) -> None:
    market.bad_answers["AMZN"] = [answer(chart, path, value)]
    harness = SourceHarness(server, tmp_path, "AMZN", "AAPL")
    bars = harness.run_once(FRIDAY_EVENING)
    assert len([bar for bar in bars if bar.symbol == "AAPL"]) == BARS
    assert harness.coverage["AAPL"].covered_until == LAST_BAR
    assert sum(harness.answers.values()) == 2
    assert all(math.isfinite(action.value) and action.value > 0 for b in harness.batches for action in b.actions)
    for text in (
        *(row.last_answer for row in harness.coverage.values()),
        *(t for b in harness.batches for t in b.left_out),
    ):
        assert "\0" not in text
        text.encode()
    assert all(bar.value for bar in bars)
    harness.source.watched = lambda: ("AMZN",)
    harness.run_once(FRIDAY_EVENING + timedelta(hours=1))  # later than any back-off after a first failure
    assert harness.coverage["AMZN"].failures == 0
