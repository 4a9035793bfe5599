from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.fetch_planner import BarRequest, SourceLimits, next_final_time, plan_requests

LIMITED = SourceLimits(history=timedelta(days=60), per_request=timedelta(days=60))
TWO_WEEKS = timedelta(days=14)
DELAY = timedelta(seconds=15)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def covered(until: str, due: str | None = None, symbol: str = "AMZN") -> Coverage:
    return Coverage(symbol, "2m", "yahoo", at(until), at(until), "ok", at(due) if due else at(until))


def due(
    now: str, *rows: Coverage, symbols: tuple[str, ...] = ("AMZN",), limits: SourceLimits = LIMITED
) -> list[BarRequest]:
    return plan_requests(symbols, "2m", limits, TWO_WEEKS, DELAY, {row.symbol: row for row in rows}, at(now))


def test_a_first_start_on_a_sunday_asks_for_two_weeks_up_to_fridays_last_bar() -> None:
    [request] = due("2026-11-22T12:00:00")
    assert request.begin == at("2026-11-06T14:30:00")  # Friday: the 8th, a Sunday, had no session
    assert request.end == at("2026-11-20T21:00:00")


def test_a_bar_is_asked_for_once_it_is_over_and_final() -> None:
    until = covered("2026-11-20T15:00:00", due="2026-11-20T15:04:15")
    assert due("2026-11-20T15:04:14", until) == []
    [request] = due("2026-11-20T15:04:15", until)
    assert request.end == at("2026-11-20T15:04:00")
    assert request.begin == at("2026-11-20T14:50:00")  # the last ten minutes again: Yahoo corrects


def test_after_an_outage_exactly_what_is_missing_is_asked_for() -> None:
    [night] = due("2026-11-20T14:33:00", covered("2026-11-19T20:58:00"))
    assert (night.begin, night.end) == (at("2026-11-19T20:48:00"), at("2026-11-20T14:32:00"))
    [two_weeks] = due("2026-11-20T15:00:15", covered("2026-11-05T20:58:00"))
    assert two_weeks.begin == at("2026-11-05T20:48:00")
    assert two_weeks.unavailable_since is None


def test_what_is_no_longer_available_is_named() -> None:
    [request] = due("2026-11-20T15:00:15", covered("2026-08-03T20:58:00"))
    assert request.unavailable_since == at("2026-08-03T21:00:00")
    assert request.begin > at("2026-09-21T15:00:00")


def test_a_long_history_is_asked_for_in_parts() -> None:
    [request] = due("2026-11-22T12:00:00", limits=SourceLimits(timedelta(days=30), timedelta(days=7)))
    assert request.end == request.begin + timedelta(days=7)
    assert request.target == at("2026-11-20T20:58:00")


def test_nothing_is_asked_for_on_a_weekend_once_friday_is_covered() -> None:
    assert due("2026-11-21T12:00:00", covered("2026-11-20T20:58:00", due="2026-11-23T14:32:15")) == []


def test_a_symbol_added_at_noon_gets_its_history_and_the_others_wait() -> None:
    [request] = due(
        "2026-11-20T17:00:15", covered("2026-11-20T16:58:00", due="2026-11-20T17:02:15"), symbols=("AMZN", "AAPL")
    )
    assert request.symbol == "AAPL"


def test_a_symbol_that_backs_off_is_not_requested() -> None:
    assert due("2026-11-20T15:10:00", covered("2026-11-20T15:00:00", due="2026-11-21T15:00:00")) == []


@pytest.mark.parametrize(
    ("exchange", "interval", "after", "final"),
    [
        ("XNYS", "2m", "2026-11-20T15:00:16", "2026-11-20T15:02:15"),
        ("XNYS", "2m", "2026-11-20T21:00:14", "2026-11-20T21:00:15"),  # the last bar of a day
        ("XNYS", "2m", "2026-11-20T21:00:16", "2026-11-23T14:32:15"),  # then Monday's first
        ("XNYS", "2m", "2025-11-28T18:00:20", "2025-12-01T14:32:15"),  # a half-day
        ("XNYS", "2m", "2025-01-08T21:30:00", "2025-01-10T14:32:15"),  # 9 January 2025 was closed
        ("XNYS", "1d", "2026-11-20T15:00:00", "2026-11-20T21:00:15"),
        ("XNYS", "1d", "2026-11-20T21:00:15", "2026-11-23T21:00:15"),
        (
            "XETR",
            "2m",
            "2026-03-10T16:46:00",
            "2026-03-11T08:17:15",
        ),  # New York has changed its clock, Frankfurt hasn't
        ("XETR", "2m", "2026-11-20T12:00:00", "2026-11-20T12:01:15"),  # the bar of 11:44, a quarter of an hour late
        ("XNYS", "2m", "2026-03-10T13:00:00", "2026-03-10T13:32:15"),
        (ALWAYS_OPEN, "2m", "2026-11-22T12:00:16", "2026-11-22T12:02:15"),
    ],
)
def test_the_next_bar_is_final_by_the_exchanges_calendar(exchange: str, interval: str, after: str, final: str) -> None:
    assert next_final_time(exchange, interval, DELAY, at(after)) == at(final)
