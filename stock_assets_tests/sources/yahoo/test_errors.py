"""Yahoo's failures are classified, and do not affect other symbols."""

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
from stock_assets_tests.sources.yahoo.harness import FRIDAY_EVENING, LAST_BAR, SourceHarness


def test_status_429_starts_a_back_off_for_all_symbols(harness: SourceHarness, market: Market) -> None:
    # Twice: yfinance retries once with another cookie.
    market.bad_answers["AMZN"] = [(429, "text/plain", b"Too Many Requests")] * 2
    harness.source.concurrency = 1
    stop = Event()
    batch = next(harness.source.batches([], stop))
    assert batch.bars == []
    assert batch.coverage[0].last_answer.startswith("rate limited")
    assert batch.answers == {AnswerKind.RATE_LIMITED: 1}
    assert harness.source.rate_limiter.state.refusals == 1
    assert harness.source.rate_limiter.try_acquire() > 25  # for all symbols and programs


def test_an_unknown_symbol_is_retried_rarely_and_affects_no_other(harness: SourceHarness, market: Market) -> None:
    market.unknown.add("AMZN")
    harness.run_once(FRIDAY_EVENING)
    assert harness.coverage["AMZN"].last_answer.startswith("unknown symbol")
    assert harness.coverage["AMZN"].next_due == FRIDAY_EVENING + timedelta(minutes=10)
    harness.run_once(FRIDAY_EVENING + timedelta(minutes=11))
    assert harness.coverage["AMZN"].next_due == FRIDAY_EVENING + timedelta(minutes=31)  # the back-off grows
    assert harness.coverage["AAPL"].covered_until == LAST_BAR


@pytest.mark.parametrize(
    ("answer", "times", "kind"),
    [
        ((200, "text/html", b"<html>Will be right back...</html>"), 1, AnswerKind.PAGE),
        ((200, "text/html", b"<!DOCTYPE html><html>Sign in</html>"), 1, AnswerKind.PAGE),
        ((200, "application/json", b'{"chart": {"result": [{"meta": {"curr'), 1, AnswerKind.BROKEN_JSON),
        ((500, "text/plain", b"oops"), 2, AnswerKind.SERVER_ERROR),  # yfinance retries once with another cookie
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
def test_each_kind_of_failure_is_recognised_and_retried(
    harness: SourceHarness, market: Market, answer: tuple[int, str, bytes], times: int, kind: AnswerKind
) -> None:
    market.bad_answers["AMZN"] = [answer] * times
    harness.run_once(FRIDAY_EVENING)
    row = harness.coverage["AMZN"]
    assert row.last_answer.startswith(f"{kind}: ")
    assert (row.newest_bar, row.failures) == (None, 1)
    assert harness.answers == {kind: 1, AnswerKind.OK: 1}
    bars = harness.run_once(FRIDAY_EVENING + timedelta(seconds=11))
    assert harness.coverage["AMZN"].covered_until == LAST_BAR
    assert harness.coverage["AMZN"].failures == 0
    assert {bar.symbol for bar in bars} == {"AMZN"}


def test_a_time_out_is_recognised_and_delays_no_other_symbol(harness: SourceHarness, market: Market) -> None:
    market.slow["AMZN"] = 3
    harness.run_once(FRIDAY_EVENING)
    assert harness.coverage["AMZN"].last_answer.startswith("timed out: ")
    assert [list(batch.answers) for batch in harness.batches] == [[AnswerKind.OK], [AnswerKind.TIMED_OUT]]


def test_an_unreachable_server_is_recognised(harness: SourceHarness, tmp_path: Path) -> None:
    stopped = YahooServer()
    stopped.close()
    harness.source.client = YahooClient(tmp_path, stopped.session, timeout_seconds=2)
    harness.run_once(FRIDAY_EVENING)
    assert harness.answers == {AnswerKind.NOT_REACHABLE: 2}


def test_no_bars_are_a_failure_where_some_were_stored_and_none_in_a_halt(
    harness: SourceHarness, market: Market
) -> None:
    harness.run_until_idle()
    market.halted["AMZN"] = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    monday = datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC)
    harness.run_once(monday)  # the request begins in Friday's last minutes, whose bars are missing
    assert harness.coverage["AMZN"].last_answer.startswith("empty answer: ")
    assert harness.coverage["AMZN"].covered_until == LAST_BAR
    market.halted["AMZN"] = (datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    harness.run_once(monday + timedelta(minutes=2))
    assert harness.coverage["AMZN"].covered_until == monday.replace(minute=32, second=0)
    assert harness.run_once(monday + timedelta(minutes=14))
    assert harness.coverage["AMZN"].last_answer == "0 bars"
    assert harness.answers[AnswerKind.NO_BARS] == 1


def test_the_producer_is_due_while_bars_are_missing_even_on_a_weekend(harness: SourceHarness, market: Market) -> None:
    market.bad_answers["AMZN"] = [(500, "text/plain", b"oops")] * 2
    harness.run_once(FRIDAY_EVENING)
    assert harness.source.pause(harness.coverage, FRIDAY_EVENING) == timedelta(seconds=10)
    harness.run_once(FRIDAY_EVENING + timedelta(seconds=11))
    assert harness.source.pause(harness.coverage, FRIDAY_EVENING + timedelta(seconds=11)) is None


def test_an_interval_that_yahoo_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="BAR_INTERVAL=3m: Yahoo has no such bars"):
        YahooSource(tuple, "3m", timedelta(1), timedelta(0), YahooClient(tmp_path), RateLimiter(tmp_path / "turns", 1))


def test_a_rate_limit_too_low_for_the_watchlist_is_logged(
    harness: SourceHarness, market: Market, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    harness.source.rate_limiter = RateLimiter(tmp_path / "small.json", per_minute=2)
    harness.source.interval = "1m"
    next(harness.source.batches([], Event()))
    assert caplog.text == ""
    harness.source.watched = lambda: ("AMZN", "AAPL", "IBM")
    next(harness.source.batches([], Event()))
    assert "3 symbols at 1m need 3 requests a minute, and YAHOO_REQUESTS_PER_MINUTE is 2" in caplog.text


def test_an_unknown_symbol_is_reported_once_and_stays_backed_off_after_a_restart(
    harness: SourceHarness, market: Market, server: YahooServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    market.unknown.add("AMZN")
    harness.run_once(FRIDAY_EVENING)
    assert "AMZN" in caplog.text
    caplog.clear()
    fresh = SourceHarness(server, tmp_path, "AMZN", "AAPL")  # as after a restart
    fresh.coverage = harness.coverage
    caplog.set_level("WARNING")
    fresh.run_once(FRIDAY_EVENING + timedelta(minutes=11))
    assert fresh.coverage["AMZN"].next_due == FRIDAY_EVENING + timedelta(minutes=31)
    assert caplog.text == ""


def test_bars_that_yahoo_no_longer_has_are_an_error_that_names_the_oldest_date(harness: SourceHarness) -> None:
    begin = FRIDAY_EVENING - timedelta(days=61)
    with pytest.raises(SourceError, match="AMZN: Yahoo has 2m bars since 2026-09-21 only"):
        harness.source.bars_between("AMZN", "2m", begin, begin + timedelta(hours=7))


def test_bars_between_raises_instead_of_giving_no_bars_after_a_failure(harness: SourceHarness, market: Market) -> None:
    market.unknown.add("AMZN")
    with pytest.raises(SourceError, match="AMZN"):
        harness.source.bars_between("AMZN", "2m", FRIDAY_EVENING - timedelta(hours=8), FRIDAY_EVENING)
