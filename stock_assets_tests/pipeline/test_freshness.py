from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.freshness import FreshnessStatus, evaluate_freshness, expected_newest, newest_final_bar

NO_DELAY = timedelta(0)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("interval", "now", "newest"),
    [
        # Friday 20 November 2026, New York opens at 14:30 UTC and closes at 21:00.
        ("1m", "2026-11-20T14:31:00", "2026-11-20T14:30:00"),
        ("1m", "2026-11-20T15:00:30", "2026-11-20T14:59:00"),
        ("1m", "2026-11-20T14:30:30", "2026-11-19T20:59:00"),  # the first bar is not over yet
        ("2m", "2026-11-20T14:33:00", "2026-11-20T14:30:00"),
        ("1m", "2026-11-20T23:00:00", "2026-11-20T20:59:00"),
        ("1m", "2026-11-22T12:00:00", "2026-11-20T20:59:00"),  # a Sunday
        ("1h", "2026-11-20T23:00:00", "2026-11-20T20:30:00"),  # cut short by the close
        ("1h", "2026-11-20T20:45:00", "2026-11-20T19:30:00"),
        ("1m", "2025-11-28T20:00:00", "2025-11-28T17:59:00"),  # a half-day
        ("1h", "2025-11-28T20:00:00", "2025-11-28T17:30:00"),
        ("1m", "2025-01-09T18:00:00", "2025-01-08T20:59:00"),  # closed: a day of mourning
        ("1d", "2026-11-20T20:59:00", "2026-11-19T14:30:00"),
        ("1d", "2026-11-20T21:00:00", "2026-11-20T14:30:00"),
        ("1d", "2026-11-22T12:00:00", "2026-11-20T14:30:00"),
    ],
)
def test_the_calendar_decides_which_bar_is_over(interval: str, now: str, newest: str) -> None:
    assert newest_final_bar("XNYS", interval, NO_DELAY, at(now)) == at(newest)


def test_the_sources_delay_is_waited_for() -> None:
    assert newest_final_bar("XNYS", "1m", timedelta(minutes=15), at("2026-11-20T15:00:00")) == at("2026-11-20T14:44:00")


def test_a_market_that_never_closes_has_utc_days_and_seconds() -> None:
    assert newest_final_bar(ALWAYS_OPEN, "1s", NO_DELAY, at("2026-11-22T12:00:05.3")) == at("2026-11-22T12:00:04")
    assert newest_final_bar(ALWAYS_OPEN, "1d", NO_DELAY, at("2026-11-22T12:00:00")) == at("2026-11-21T00:00:00")


def coverage(until: str, newest: str | None, due: str | None = "2026-11-20T18:00:00") -> Coverage:
    newest_bar = at(newest) if newest else None
    return Coverage("AMZN", "1m", "test", at(until), newest_bar, "ok", at(due) if due else None)


def test_a_stream_that_died_in_the_afternoon_is_still_late_in_the_evening() -> None:
    published = coverage("2026-11-20T20:59:00", "2026-11-20T20:59:00")
    expected = expected_newest("XNYS", "1m", NO_DELAY, published, at("2026-11-20T23:00:00"))
    result = evaluate_freshness("AMZN", "1m", at("2026-11-20T20:00:00"), expected)
    assert result.status is FreshnessStatus.LATE
    assert result.late_by == timedelta(minutes=59)


def test_a_halted_symbol_is_not_late() -> None:
    halted = coverage("2026-11-20T17:59:00", "2026-11-20T16:10:00")
    expected = expected_newest("XNYS", "1m", NO_DELAY, halted, at("2026-11-20T18:00:00"))
    assert evaluate_freshness("AMZN", "1m", at("2026-11-20T16:10:00"), expected).passed


def test_a_source_that_was_not_asked_makes_bars_late() -> None:
    unasked = coverage("2026-11-20T16:10:00", "2026-11-20T16:10:00")
    expected = expected_newest("XNYS", "1m", NO_DELAY, unasked, at("2026-11-20T18:00:00"))
    assert expected == at("2026-11-20T17:59:00")


def test_a_source_that_has_given_all_expects_its_last_bar() -> None:
    ended = coverage("2013-03-01T14:30:00", "2013-03-01T14:30:00", due=None)
    assert expected_newest("XNYS", "1d", NO_DELAY, ended, at("2026-11-20T18:00:00")) == at("2013-03-01T14:30:00")


def test_a_symbol_with_no_stored_bar_is_missing_and_one_with_none_to_give_is_not() -> None:
    assert evaluate_freshness("AMZN", "1m", None, at("2026-11-20T17:59:00")).status is FreshnessStatus.MISSING
    assert evaluate_freshness("AMZN", "1m", None, None).passed


def test_with_extended_hours_the_bars_before_the_open_and_after_the_close_are_expected() -> None:
    asked = at("2026-11-20T14:00:00")
    coverage = Coverage("AMZN", "2m", "o", asked, asked, "", asked)
    evening = at("2026-11-20T22:30:00")
    for extended, expected in ((True, "2026-11-20T22:28:00"), (False, "2026-11-20T20:58:00")):
        newest = expected_newest("XNYS", "2m", NO_DELAY, coverage, evening, extended=extended)
        assert newest == at(expected)
