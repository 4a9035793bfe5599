from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.pipeline.freshness import Freshness, FreshnessStatus
from stock_assets.pipeline.quote_board import (
    PeriodPrices,
    Trade,
    bar_end,
    board_row,
    display_period,
    shown_series,
    sparkline,
)

FRIDAY = datetime(2026, 11, 20, tzinfo=UTC)  # New York trades from 14:30 to 21:00 UTC
DAY = PeriodPrices(open=100, high=110, low=95, last=104, previous=102, closes=(100, 104))


def at(hour: int, minute: int = 0, day: datetime = FRIDAY) -> datetime:
    return day + timedelta(hours=hour, minutes=minute)


def fresh(newest: datetime | None, interval: str = "2m") -> Freshness:
    return Freshness("AMZN", interval, newest, newest, timedelta(0), FreshnessStatus.FRESH)


def test_the_window_is_the_session_of_the_newest_bar_and_the_price_before_is_the_last_close() -> None:
    window = display_period("XNYS", "2m", at(15))
    assert window.begin == at(14, 30)
    assert window.before == at(21, day=FRIDAY - timedelta(days=1))


def test_on_monday_the_price_before_is_fridays() -> None:
    monday = FRIDAY + timedelta(days=3)
    assert display_period("XNYS", "2m", at(15, day=monday)).before == at(21)


def test_after_the_close_the_price_before_is_that_close() -> None:
    window = display_period("XNYS", "2m", at(21, 30))
    assert (window.begin, window.before) == (at(21), at(21))


def test_before_the_open_the_price_before_is_the_last_close() -> None:
    window = display_period("XNYS", "2m", at(13, day=FRIDAY + timedelta(days=3)))
    assert (window.begin, window.before) == (at(21), at(21))


def test_a_half_day_ends_at_its_own_close() -> None:
    black_friday = datetime(2026, 11, 27, tzinfo=UTC)
    assert display_period("XNYS", "2m", at(18, day=black_friday)).before == at(18, day=black_friday)


def test_daily_bars_are_drawn_over_some_weeks() -> None:
    window = display_period("XNYS", "1d", at(14, 30))
    assert window.begin == at(14, 30)
    assert at(14, 30) - window.drawn_from > timedelta(days=30)


def test_the_change_is_against_the_price_before() -> None:
    row = board_row("XNYS", fresh(at(15)), DAY, None, at(15, 3))
    assert (row.last, row.change) == (104, 2)
    assert row.change_percent == pytest.approx(100 * 2 / 102)
    assert row.age == timedelta(minutes=1)  # since the bar's end
    assert row.market_is_open


def test_without_a_price_before_the_change_is_against_the_first_one() -> None:
    row = board_row("24/7", fresh(at(15)), PeriodPrices(open=100, high=110, low=95, last=104), None, at(15, 3))
    assert row.change == 4


def test_a_trade_since_the_newest_bar_is_the_last_price_and_widens_the_range() -> None:
    row = board_row("XNYS", fresh(at(15)), DAY, Trade(at(15, 2), 111), at(15, 3))
    assert (row.last, row.last_at, row.high) == (111, at(15, 2), 111)


def test_a_trade_within_or_before_the_newest_bar_is_older_than_its_close() -> None:
    assert board_row("XNYS", fresh(at(15)), DAY, Trade(at(15, 1), 111), at(15, 3)).last == 104


def test_a_symbol_of_which_nothing_is_stored_has_a_row_too() -> None:
    missing = Freshness("AMZN", "2m", None, at(15), timedelta(0), FreshnessStatus.MISSING)
    row = board_row("XNYS", missing, PeriodPrices(), None, at(22))
    assert (row.last, row.change, row.low, row.age) == (None, None, None, None)
    assert not row.market_is_open


def test_a_daily_bar_is_over_at_the_close_even_of_a_half_day() -> None:
    black_friday = datetime(2026, 11, 27, tzinfo=UTC)
    assert bar_end("XNYS", "1d", at(14, 30, black_friday)) == at(18, day=black_friday)
    assert bar_end("XNYS", "2m", at(15)) == at(15, 2)


def test_of_several_intervals_the_newest_is_shown_and_of_the_same_the_shorter() -> None:
    newest = {
        ("A", "1d"): at(14, 30),
        ("A", "2m"): at(15),
        ("A", "1m"): at(15),
        ("B", "1m"): at(1),
        ("B", "1d"): at(14),
    }
    assert shown_series(newest, ["B", "A", "C"]) == [("B", "1d"), ("A", "1m")]


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [((1, 2, 3, 8), 4, "▁▂▃█"), ((9, 1, 2), 2, "▁█"), ((5, 5), 4, "▄▄"), ((), 4, ""), ((1, 2), 0, "")],
)
def test_a_sparkline_spans_its_own_range(values: tuple[float, ...], width: int, line: str) -> None:
    assert sparkline(values, width) == line
