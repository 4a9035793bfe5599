"""What Yahoo refuses or can't give is told apart, and costs the other symbols nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from stock_assets.sources.base import SourceError
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.errors import AnswerKind
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.source import YahooSource
from stock_assets_tests.services.yahoo import Market, YahooServer
from stock_assets_tests.sources.yahoo.asked import FRIDAY_EVENING, LAST_BAR, Asked


def test_a_429_is_seen_as_one_and_holds_back_all_symbols(asked: Asked, market: Market) -> None:
    # Twice: yfinance tries once more with another cookie.
    market.ugly["AMZN"] = [(429, "text/plain", b"Too Many Requests")] * 2
    asked.source.concurrency = 1
    stop = Event()
    batch = next(asked.source.batches([], stop))
    assert batch.bars == []
    assert batch.coverage[0].last_answer.startswith("rate limited")
    assert batch.answers == {AnswerKind.RATE_LIMITED: 1}
    assert asked.source.rate_limiter.state.refusals == 1
    assert asked.source.rate_limiter.try_acquire() > 25  # whoever asks next, of whatever symbol, in whatever program


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
        ((200, "text/html", b"<html>Will be right back...</html>"), 1, AnswerKind.PAGE),
        ((200, "text/html", b"<!DOCTYPE html><html>Sign in</html>"), 1, AnswerKind.PAGE),
        ((200, "application/json", b'{"chart": {"result": [{"meta": {"curr'), 1, AnswerKind.BROKEN_JSON),
        ((500, "text/plain", b"oops"), 2, AnswerKind.SERVER_ERROR),  # yfinance tries once more with another cookie
        ((502, "text/html", b"<html>Bad Gateway</html>"), 2, AnswerKind.SERVER_ERROR),
        (
            (401, "application/json", b'{"finance": {"error": {"description": "Invalid Crumb"}}}'),
            2,
            AnswerKind.REFUSED_CRUMB,
        ),
        ((200, "application/json", b'{"chart": {"result": [], "error": null}}'), 1, AnswerKind.BROKEN),
        ((200, "application/json", b"[]"), 1, AnswerKind.BROKEN),
    ],
)
def test_each_refusal_is_told_apart_and_asked_for_again(
    asked: Asked, market: Market, answer: tuple[int, str, bytes], times: int, kind: AnswerKind
) -> None:
    market.ugly["AMZN"] = [answer] * times
    asked.once(FRIDAY_EVENING)
    row = asked.coverage["AMZN"]
    assert row.last_answer.startswith(f"{kind}: ")
    assert (row.newest_bar, row.failures) == (None, 1)
    assert asked.answers == {kind: 1, AnswerKind.OK: 1}
    bars = asked.once(FRIDAY_EVENING + timedelta(seconds=11))
    assert asked.coverage["AMZN"].covered_until == LAST_BAR
    assert asked.coverage["AMZN"].failures == 0
    assert {bar.symbol for bar in bars} == {"AMZN"}


def test_a_time_out_is_told_apart_and_holds_up_nobody_else(asked: Asked, market: Market) -> None:
    market.slow["AMZN"] = 3
    asked.once(FRIDAY_EVENING)
    assert asked.coverage["AMZN"].last_answer.startswith("timed out: ")
    assert [list(batch.answers) for batch in asked.batches] == [[AnswerKind.OK], [AnswerKind.TIMED_OUT]]


def test_a_server_that_is_not_there_is_told_apart(asked: Asked, tmp_path: Path) -> None:
    gone = YahooServer()
    gone.close()
    asked.source.client = YahooClient(tmp_path, gone.session, timeout_seconds=2)
    asked.once(FRIDAY_EVENING)
    assert asked.answers == {AnswerKind.NOT_REACHABLE: 2}


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
    assert asked.answers[AnswerKind.NO_BARS] == 1


def test_the_producer_stays_up_while_something_is_missing_even_on_a_weekend(asked: Asked, market: Market) -> None:
    market.ugly["AMZN"] = [(500, "text/plain", b"oops")] * 2
    asked.once(FRIDAY_EVENING)
    assert asked.source.pause(asked.coverage, FRIDAY_EVENING) == timedelta(seconds=10)
    asked.once(FRIDAY_EVENING + timedelta(seconds=11))
    assert asked.source.pause(asked.coverage, FRIDAY_EVENING + timedelta(seconds=11)) is None


def test_an_interval_that_yahoo_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="BAR_INTERVAL=3m: Yahoo has no such bars"):
        YahooSource(tuple, "3m", timedelta(1), timedelta(0), YahooClient(tmp_path), RateLimiter(tmp_path / "turns", 1))


def test_a_budget_that_is_too_small_for_the_watchlist_is_told(
    asked: Asked, market: Market, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked.source.rate_limiter = RateLimiter(tmp_path / "small.json", per_minute=2)
    asked.source.interval = "1m"
    next(asked.source.batches([], Event()))
    assert caplog.text == ""
    asked.source.watched = lambda: ("AMZN", "AAPL", "IBM")
    next(asked.source.batches([], Event()))
    assert "3 symbols at 1m need 3 requests a minute, and YAHOO_REQUESTS_PER_MINUTE is 2" in caplog.text


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


def test_what_yahoo_no_longer_sells_is_an_error_that_says_since_when(asked: Asked) -> None:
    begin = FRIDAY_EVENING - timedelta(days=61)
    with pytest.raises(SourceError, match="AMZN: Yahoo has 2m bars since 2026-09-21 only"):
        asked.source.bars_between("AMZN", "2m", begin, begin + timedelta(hours=7))


def test_a_refusal_to_say_is_no_empty_answer(asked: Asked, market: Market) -> None:
    market.unknown.add("AMZN")
    with pytest.raises(SourceError, match="AMZN"):
        asked.source.bars_between("AMZN", "2m", FRIDAY_EVENING - timedelta(hours=8), FRIDAY_EVENING)
