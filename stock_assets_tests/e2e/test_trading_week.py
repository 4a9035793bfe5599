"""The platform at opens and closes of a week with a holiday and a half-day, with a clock that the tests set.

Everything is real but the time of day and Yahoo, which is a test server: Dagster's daemon, the runs that it starts,
Kafka, Spark, InfluxDB, PostgreSQL. Each test continues with the state that the previous one left. Times are UTC; New
York's winter session is from 14:30 to 21:00, and that of the Friday after Thanksgiving ends at 18:00.
"""

import pytest
from dagster import DagsterRunStatus

from stock_assets.pipeline.desired_state import Role
from stock_assets.store.watchlist import add_to_watchlist
from stock_assets_tests.e2e.week import FRIDAY, SYMBOLS, TIMEOUT_SECONDS, WEDNESDAY, Week, at, week
from stock_assets_tests.services import fake_clock
from stock_assets_tests.services.waiting import until

__all__ = ["week"]

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not fake_clock.AVAILABLE, reason="libfaketime is for Linux here"),
]


def test_before_the_close_both_programs_run_and_store_bars(week: Week) -> None:
    week.wait_until_running()
    until(lambda: (newest := week.newest_stored()) is not None and newest >= at("11-26", "20:52"), TIMEOUT_SECONDS)


def test_after_the_close_both_programs_drain_and_the_session_is_summarised(week: Week) -> None:
    week.close(WEDNESDAY)
    assert week.bars_of(WEDNESDAY) == dict.fromkeys(SYMBOLS, (390, 390))


def test_nothing_runs_on_a_holiday(week: Week) -> None:
    week.set_clock(at("11-27", "15:00"))
    week.check_that_nothing_happens()


def test_both_programs_run_before_the_next_open(week: Week) -> None:
    week.set_clock(at("11-28", "14:21:30"))
    week.wait_until_running()
    assert week.clock.now() < at("11-28", "14:30")


def test_a_half_day_ends_at_13_in_new_york(week: Week) -> None:
    week.set_clock(at("11-28", "17:58"))
    until(lambda: (newest := week.newest_stored()) is not None and newest >= at("11-28", "17:56"), TIMEOUT_SECONDS)
    week.close(FRIDAY)
    assert week.bars_of(FRIDAY) == dict.fromkeys(SYMBOLS, (210, 210))


def test_nothing_runs_on_a_weekend(week: Week) -> None:
    week.set_clock(at("11-29", "15:00"))
    week.check_that_nothing_happens()


def test_both_programs_run_before_the_open_on_monday(week: Week) -> None:
    week.set_clock(at("12-01", "14:21:30"))
    week.wait_until_running()


def test_with_a_cryptocurrency_both_programs_roll_over_at_midnight(week: Week) -> None:
    week.market.trades = lambda bar: True
    add_to_watchlist(week.engine, "BTC-USD")
    before = week.running()
    week.set_clock(at("12-02", "00:01"))
    until(
        lambda: week.running().keys() == before.keys() and not {*week.running().values()} & {*before.values()},
        TIMEOUT_SECONDS,
    )
    week.wait_until_running()
    for run_id in before.values():
        run = week.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is DagsterRunStatus.SUCCESS


def test_each_role_had_a_run_a_day_and_every_incident_is_over(week: Week) -> None:
    assert {role: len(week.runs(role)) for role in Role} == dict.fromkeys(Role, 4)
    assert week.failed() == []
    # Where the clock is set forward within a session, bars are late at once; on a busy machine the stream starts late.
    true_ones = ("prices_are_fresh failed", "stream_keeps_up warns")
    assert {title: text for title, text in week.incidents().items() if title not in true_ones} == {}
    until(lambda: all(f"Resolved: {incident}" in week.notified() for incident in week.incidents()), TIMEOUT_SECONDS)
