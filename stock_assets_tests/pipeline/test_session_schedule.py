from datetime import UTC, date, datetime, timedelta

import pytest

from stock_assets.market.calendars import session_on
from stock_assets.market.sessions import SeriesSession, expected_bars
from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.session_schedule import (
    ARRIVAL_DEADLINE,
    SETTLING_TIME,
    has_begun,
    newest_replayed,
    sessions_due,
    settled_sessions,
)

FRIDAY = date(2026, 11, 20)
THANKSGIVING, HALF_DAY = date(2026, 11, 26), date(2026, 11, 27)
CLOSE = datetime(2026, 11, 20, 21, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def covered(symbol: str, until: datetime, interval: str = "1m", ended: bool = False) -> Coverage:
    return Coverage(symbol, interval, "o", until, until, "", None if ended else until)


def days(found: list[SeriesSession]) -> list[date]:
    return [one.session.day for one in found]


@pytest.mark.parametrize(
    ("exchange", "day", "interval", "bars"),
    [
        ("XNYS", FRIDAY, "1m", 390),
        ("XNYS", FRIDAY, "1h", 7),  # the close cuts the last one short
        ("XNYS", FRIDAY, "1d", 1),
        ("XNYS", HALF_DAY, "1m", 210),
        ("XTKS", FRIDAY, "1m", 330),  # an hour for lunch, and the close at half past three
        ("XTKS", FRIDAY, "1h", 7),  # the bar from noon lies half in the break
        (ALWAYS_OPEN, FRIDAY, "1s", 86_400),
    ],
)
def test_the_calendar_decides_how_many_bars_a_session_has(exchange: str, day: date, interval: str, bars: int) -> None:
    assert len(expected_bars(session_on(exchange, day), interval)) == bars


def test_a_session_is_settled_once_its_bars_have_been_asked_for_and_are_stored() -> None:
    row = covered("AMZN", CLOSE - MINUTE)
    assert FRIDAY not in days(settled_sessions(row, "XNYS", True, CLOSE + SETTLING_TIME - MINUTE))
    assert days(settled_sessions(row, "XNYS", True, CLOSE + SETTLING_TIME))[-1] == FRIDAY


@pytest.mark.parametrize(("until", "stored"), [(CLOSE - 2 * MINUTE, True), (CLOSE - MINUTE, False)])
def test_a_stopped_producer_or_stream_is_waited_for_no_longer_than_an_hour(until: datetime, stored: bool) -> None:
    row = covered("AMZN", until)
    assert FRIDAY not in days(settled_sessions(row, "XNYS", stored, CLOSE + ARRIVAL_DEADLINE - MINUTE))
    assert days(settled_sessions(row, "XNYS", stored, CLOSE + ARRIVAL_DEADLINE))[-1] == FRIDAY


def test_holidays_and_weekends_have_no_session_and_a_machine_that_was_off_makes_up_for_a_week() -> None:
    monday = datetime(2026, 11, 30, 12, tzinfo=UTC)
    row = covered("AMZN", monday)
    found = days(settled_sessions(row, "XNYS", True, monday))
    assert found == [date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25), HALF_DAY]
    assert THANKSGIVING not in found


def test_each_exchange_ends_its_session_by_its_own_clock() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert days(settled_sessions(covered("7203.T", noon), "XTKS", True, noon))[-1] == FRIDAY
    assert days(settled_sessions(covered("SAP.DE", noon), "XETR", True, noon))[-1] == date(2026, 11, 19)
    saturday = datetime(2026, 11, 22, 0, 15, tzinfo=UTC)
    assert days(settled_sessions(covered("BTC-USD", saturday), ALWAYS_OPEN, True, saturday))[-1] == date(2026, 11, 21)


def test_a_session_is_due_until_it_is_summarised_and_again_after_its_repair() -> None:
    one = SeriesSession("AMZN", "1m", session_on("XNYS", FRIDAY))
    made = CLOSE + SETTLING_TIME
    assert sessions_due([one], {}, {}) == {one.key}
    assert sessions_due([one], {one.key: CLOSE - MINUTE}, {}) == {one.key}  # by hand, before the close
    assert sessions_due([one], {one.key: made}, {}) == set()
    assert sessions_due([one], {one.key: made}, {one.key: made + MINUTE}) == {one.key}
    assert sessions_due([one], {one.key: made + 2 * MINUTE}, {one.key: made + MINUTE}) == set()


def test_a_repaired_session_of_long_ago_is_due_too() -> None:
    key = (date(2025, 3, 3), "AMZN", "1m")
    assert sessions_due([], {key: CLOSE}, {key: CLOSE + MINUTE}) == {key}


def test_of_a_replay_only_the_newest_session_is_summarised_automatically() -> None:
    opened = session_on("XNYS", FRIDAY).opened
    rows = [
        covered("AAPL", opened, "1d", ended=True),
        covered("OLD", opened - timedelta(days=900), "1d", ended=True),
        Coverage("NEW", "1d", "o", opened, None, "", None),
    ]
    found = newest_replayed(rows, dict.fromkeys(("AAPL", "OLD", "NEW"), "XNYS"))
    assert [one.key for one in found] == [(FRIDAY, "AAPL", "1d")]
    assert newest_replayed([], {}) == []


def test_sessions_before_a_series_began_are_left_out() -> None:
    session, noon = session_on("XNYS", FRIDAY), CLOSE - timedelta(hours=4)
    assert has_begun(session, noon, None)
    assert not has_begun(session, CLOSE, None)
    assert has_begun(session, None, covered("AMZN", noon))  # published, and nothing is stored: a stopped stream
    assert not has_begun(session, None, covered("AMZN", CLOSE + MINUTE))
    assert has_begun(session, noon, covered("AMZN", CLOSE + MINUTE))
    assert not has_begun(session, None, None)
