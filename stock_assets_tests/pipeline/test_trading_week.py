"""Unattended trading weeks: which runs are active, when checks are evaluated, what is notified. Times are UTC."""

from itertools import pairwise

from stock_assets.pipeline.desired_state import Action, Role
from stock_assets_tests.pipeline.trading_days import World, at

SHARES = ("AMZN", "AAPL")


def shares(begin: str, end: str) -> World:
    """New York's shares; the first minutes catch up with what was before."""
    return World(SHARES, at(begin)).run_until(at(end))


def test_a_friday_a_weekend_and_a_holiday_monday() -> None:
    week = shares("2026-09-04T12:00:00", "2026-09-09T12:00:00")  # the 7th is Labor Day
    assert week.run_times(Role.PRODUCER)[1:] == [("04 13:21", "04 20:12"), ("08 13:21", "08 20:12")]
    assert week.run_times(Role.STREAM)[1:] == [("04 13:21", "04 20:13"), ("08 13:21", "08 20:13")]
    assert week.evaluated()[1:] == [("04 13:21", "04 20:13"), ("08 13:21", "08 20:13")]
    assert week.notified() == []


def test_a_holiday_and_a_half_day() -> None:
    week = shares("2026-11-25T12:00:00", "2026-12-01T00:00:00")  # Thanksgiving; on Friday New York closes at one
    assert week.run_times(Role.PRODUCER)[1:] == [
        ("25 14:21", "25 21:12"),
        ("27 14:21", "27 18:12"),
        ("30 14:21", "30 21:12"),
    ]
    assert week.evaluated()[1:] == [("25 14:21", "25 21:13"), ("27 14:21", "27 18:13"), ("30 14:21", "30 21:13")]
    assert week.notified() == []


def test_new_york_changes_its_clock() -> None:
    autumn = shares("2026-10-30T12:00:00", "2026-11-03T00:00:00")
    assert autumn.run_times(Role.STREAM)[1:] == [("30 13:21", "30 20:13"), ("02 14:21", "02 21:13")]
    spring = shares("2026-03-06T12:00:00", "2026-03-10T00:00:00")
    assert spring.run_times(Role.STREAM)[1:] == [("06 14:21", "06 21:13"), ("09 13:21", "09 20:13")]
    assert autumn.notified() == spring.notified() == []


def test_everything_is_up_before_the_open_also_where_bars_come_late() -> None:
    frankfurt = World(("SAP.DE",), at("2026-11-20T02:00:00")).run_until(at("2026-11-21T12:00:00"))
    assert frankfurt.run_times(Role.PRODUCER)[1:] == [("20 07:55", "20 16:57")]  # it opens at 8:00
    assert frankfurt.notified() == []


def test_in_each_minute_of_a_trading_day_every_bar_that_is_due_is_stored() -> None:
    day = World(SHARES, at("2026-11-20T14:00:00"))
    while day.now < at("2026-11-20T22:00:00"):
        day.run_until(day.now + (at("2026-11-20T14:01:00") - at("2026-11-20T14:00:00")))
        assert day.verdict is not None
        assert day.verdict.passed, day.now
        assert day.lag == 0
    assert set(day.stored.values()) == {at("2026-11-20T20:58:00")}


def test_around_the_clock_the_runs_roll_over_each_utc_day() -> None:
    coin = World(("BTC-USD",), at("2026-11-20T12:00:00")).run_until(at("2026-11-23T12:00:00"))
    days = [("20 12:00", "21 00:00"), ("21 00:01", "22 00:00"), ("22 00:01", "23 00:00"), ("23 00:01", "")]
    assert coin.run_times(Role.PRODUCER) == coin.run_times(Role.STREAM) == days
    assert {run.status for run in coin.runs} == {"SUCCESS", "STARTED"}
    assert coin.evaluated() == [("20 12:00", "23 11:59")]
    assert coin.notified() == []


def test_a_run_that_has_just_begun_does_not_end_at_midnight() -> None:
    coin = World(("BTC-USD",), at("2026-11-20T23:30:00")).run_until(at("2026-11-21T02:00:00"))
    assert coin.run_times(Role.STREAM) == [("20 23:30", "21 00:31"), ("21 00:32", "")]


def test_a_crash_loop_backs_off_and_has_three_notifications() -> None:
    crashes = at("2026-11-20T15:00:00"), at("2026-11-20T16:00:00")
    friday = World(SHARES, at("2026-11-20T14:00:00"), crashes).run_until(at("2026-11-21T12:00:00"))
    tries = [begin for begin, _ in friday.run_times(Role.STREAM)[1:]]
    assert tries == [
        f"20 {time}"
        for time in (
            "14:21",
            "15:01",
            "15:02",
            "15:03",
            "15:05",
            "15:08",
            "15:14",
            "15:24",
            "15:34",
            "15:44",
            "15:54",
            "16:04",
        )
    ]
    assert friday.notified() == [
        "20 15:00 stream_prices failed",
        "20 15:02 prices_are_fresh failed",
        "20 15:02 stream_prices fails again and again",
        "20 16:04 Resolved: prices_are_fresh failed",
        "20 16:34 Resolved: stream_prices failed",
    ]
    assert set(friday.stored.values()) == {at("2026-11-20T20:58:00")}


def test_never_two_of_a_role() -> None:
    week = shares("2026-11-25T12:00:00", "2026-12-01T00:00:00")
    for role in Role:
        runs = [run for run in week.runs if run.role == role]
        assert all(run.ended_at for run in runs)
        assert all(a.ended_at <= b.created_at for a, b in pairwise(runs) if a.ended_at)
    assert {action for _, _, action in week.actions} == {Action.START, Action.KEEP, Action.DRAIN, Action.REST}
