from datetime import UTC, date, datetime, timedelta

import pytest

from stock_assets.market.calendars import is_open, session_on
from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.market.trading_hours import intervals_since_last_close, trading_day_at, trading_interval_at
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.fetch_planner import SourceLimits, is_final, next_final_time, plan_requests
from stock_assets.pipeline.freshness import newest_final_bar

DELAY = timedelta(seconds=15)
TOKYO_DELAY = timedelta(minutes=20)  # of Tokyo's prices at Yahoo
NO_DELAY = timedelta(0)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-11-20T02:31:00", "2026-11-20T02:28:00"),  # 11:31 in Tokyo: the morning's last bar
        ("2026-11-20T03:29:00", "2026-11-20T02:28:00"),  # still in the break
        ("2026-11-20T03:31:59", "2026-11-20T02:28:00"),
        ("2026-11-20T03:32:00", "2026-11-20T03:30:00"),
        ("2026-11-20T08:00:00", "2026-11-20T06:28:00"),  # closes at 15:30
    ],
)
def test_no_bar_is_expected_during_tokyos_break(now: str, newest: str) -> None:
    assert newest_final_bar("XTKS", "2m", NO_DELAY, at(now)) == at(newest)


def test_no_request_is_planned_during_tokyos_break() -> None:
    noon = at("2026-11-20T02:30:16") + TOKYO_DELAY
    due = next_final_time("XTKS", "2m", DELAY, noon)
    assert due == at("2026-11-20T03:32:15") + TOKYO_DELAY
    row = Coverage("7203.T", "2m", "Yahoo", at("2026-11-20T02:28:00"), at("2026-11-20T02:28:00"), "1 bars", due)
    limits = SourceLimits(timedelta(60), timedelta(59))
    planned = [
        plan_requests(
            ("7203.T",), "2m", limits, timedelta(14), DELAY, {"7203.T": row}, noon + timedelta(minutes=minute)
        )
        for minute in range(61)
    ]
    assert planned == [[]] * 61


def test_hourly_bars_in_tokyo_are_cut_by_the_break() -> None:
    assert newest_final_bar("XTKS", "1h", NO_DELAY, at("2026-11-20T02:30:00")) == at("2026-11-20T02:00:00")
    assert newest_final_bar("XTKS", "1h", NO_DELAY, at("2026-11-20T04:30:00")) == at("2026-11-20T03:30:00")


@pytest.mark.parametrize(
    ("moment", "opened", "closed"),
    [
        ("2026-11-20T09:00:00", "2026-11-20T09:00:00", "2026-11-20T14:30:00"),  # 4:00 in New York
        ("2026-11-20T14:30:00", "2026-11-20T14:30:00", "2026-11-20T21:00:00"),
        ("2026-11-20T22:00:00", "2026-11-20T21:00:00", "2026-11-21T01:00:00"),  # until 20:00
        ("2025-11-28T20:00:00", "2025-11-28T18:00:00", "2025-11-28T22:00:00"),  # a half-day: from 13:00 to 17:00
        ("2026-07-01T08:00:00", "2026-07-01T08:00:00", "2026-07-01T13:30:00"),  # in summer
        ("2026-11-23T08:59:00", "2026-11-20T21:00:00", "2026-11-21T01:00:00"),
    ],
)
def test_new_york_trades_before_the_open_and_after_the_close(moment: str, opened: str, closed: str) -> None:
    interval = trading_interval_at("XNYS", at(moment), extended=True)
    assert (interval.opened, interval.closed) == (at(opened), at(closed))


def test_frankfurt_has_no_extended_hours() -> None:
    assert trading_interval_at("XETR", at("2026-11-20T12:00:00"), extended=True) == trading_interval_at(
        "XETR", at("2026-11-20T12:00:00")
    )
    assert trading_interval_at(ALWAYS_OPEN, at("2026-11-22T12:00:00"), extended=True).opened == at(
        "2026-11-22T00:00:00"
    )


@pytest.mark.parametrize(
    ("interval", "after", "final"),
    [
        ("2m", "2026-11-20T05:00:00", "2026-11-20T09:02:15"),  # the first of the day
        ("2m", "2026-11-20T21:00:16", "2026-11-20T21:02:15"),  # goes on after the close
        ("2m", "2026-11-21T01:00:16", "2026-11-23T09:02:15"),  # Friday's last, then Monday's first
        ("1h", "2026-11-20T14:00:16", "2026-11-20T14:30:15"),  # 9:00 to 9:30 in New York: cut by the open
        ("1h", "2026-11-20T14:30:16", "2026-11-20T15:30:15"),
    ],
)
def test_with_extended_hours_bars_are_due_before_the_open_and_after_the_close(
    interval: str, after: str, final: str
) -> None:
    assert next_final_time("XNYS", interval, DELAY, at(after), extended=True) == at(final)


def test_a_day_with_extended_hours_lasts_from_4_to_20_in_new_york() -> None:
    for moment in ("2026-11-20T09:00:00", "2026-11-20T15:00:00", "2026-11-22T12:00:00"):
        day = trading_day_at("XNYS", at(moment), extended=True)
        assert (day.opened, day.closed) == (at("2026-11-20T09:00:00"), at("2026-11-21T01:00:00"))
    assert trading_day_at("XNYS", at("2026-11-20T08:59:00"), extended=True).day.isoformat() == "2026-11-19"


def test_a_trading_day_includes_the_break() -> None:
    lunch = at("2026-11-20T03:00:00")
    assert not is_open("XTKS", lunch)
    assert trading_day_at("XTKS", lunch).is_on(lunch)


def test_a_bar_that_starts_in_a_break_is_not_final_before_its_end() -> None:
    start = at("2026-11-20T03:00:00")  # noon in Tokyo
    assert not is_final("XTKS", "1h", NO_DELAY, start, at("2026-11-20T03:59:00") + TOKYO_DELAY)
    assert is_final("XTKS", "1h", NO_DELAY, start, at("2026-11-20T04:00:00") + TOKYO_DELAY)
    assert is_final("XNYS", "1h", NO_DELAY, at("2026-11-20T20:30:00"), at("2026-11-20T21:00:00"))  # cut by the close


def test_the_intervals_of_a_session_begin_at_the_close_before() -> None:
    session = session_on("XNYS", date(2026, 11, 30))  # a Monday; the Friday before was a half-day
    parts = intervals_since_last_close("XNYS", session, extended=True)
    assert [(part.opened, part.closed) for part in parts] == [
        (at("2026-11-27T18:00:00"), at("2026-11-27T22:00:00")),
        (at("2026-11-30T09:00:00"), at("2026-11-30T14:30:00")),
        (at("2026-11-30T14:30:00"), at("2026-11-30T21:00:00")),
        (at("2026-11-30T21:00:00"), at("2026-12-01T01:00:00")),
    ]
    assert intervals_since_last_close("XNYS", session) == [session]
    frankfurt = session_on("XETR", date(2026, 11, 30))
    assert intervals_since_last_close("XETR", frankfurt, extended=True) == [frankfurt]
