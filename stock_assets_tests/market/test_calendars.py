from datetime import UTC, date, datetime

import pytest

from stock_assets.market.calendars import date_at, is_open, last_closed, session_at, session_on
from stock_assets.market.symbols import ALWAYS_OPEN, exchange_of


@pytest.mark.parametrize(
    ("symbol", "exchange"),
    [
        ("AMZN", "XNYS"),
        ("SAP.DE", "XETR"),
        ("7203.T", "XTKS"),
        ("VOD.L", "XLON"),
        ("BTC-USD", ALWAYS_OPEN),
        ("BRK-B", "XNYS"),
    ],
)
def test_the_exchange_follows_from_the_symbol(symbol: str, exchange: str) -> None:
    assert exchange_of(symbol) == exchange


def test_an_unknown_suffix_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"FOO\.XX.*\.XX"):
        exchange_of("FOO.XX")


def test_a_session_opens_in_new_yorks_time_in_winter_and_summer() -> None:
    assert session_on("XNYS", date(2013, 3, 1)).opened == datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
    assert session_on("XNYS", date(2012, 7, 2)).opened == datetime(2012, 7, 2, 13, 30, tzinfo=UTC)


def test_a_holiday_has_no_session() -> None:
    with pytest.raises(ValueError, match="2025-01-09 was no trading day of XNYS"):
        session_on("XNYS", date(2025, 1, 9))


def test_a_half_day_closes_at_one() -> None:
    assert last_closed("XNYS", datetime(2025, 11, 28, 23, tzinfo=UTC)).closed == datetime(2025, 11, 28, 18, tzinfo=UTC)
    assert is_open("XNYS", datetime(2025, 11, 28, 17, 59, tzinfo=UTC))
    assert not is_open("XNYS", datetime(2025, 11, 28, 18, 1, tzinfo=UTC))


def test_the_date_in_tokyo_may_differ_from_that_in_utc() -> None:
    assert date_at("XTKS", datetime(2026, 11, 20, 16, tzinfo=UTC)) == date(2026, 11, 21)


def test_tokyo_is_closed_during_its_break() -> None:
    assert is_open("XTKS", datetime(2026, 11, 20, 2, 29, tzinfo=UTC))
    assert not is_open("XTKS", datetime(2026, 11, 20, 3, 0, tzinfo=UTC))
    assert is_open("XTKS", datetime(2026, 11, 20, 3, 30, tzinfo=UTC))


def test_before_the_open_the_current_session_is_the_last_one() -> None:
    assert session_at("XNYS", datetime(2026, 11, 23, 14, 29, tzinfo=UTC)).day == date(2026, 11, 20)
    assert session_at("XNYS", datetime(2026, 11, 23, 14, 30, tzinfo=UTC)).day == date(2026, 11, 23)


def test_the_sessions_of_a_market_that_is_always_open_are_utc_days() -> None:
    sunday = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert is_open(ALWAYS_OPEN, sunday)
    assert session_at(ALWAYS_OPEN, sunday).day == date(2026, 11, 22)
    assert last_closed(ALWAYS_OPEN, sunday).day == date(2026, 11, 21)
