from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from stock_assets.market.adjustment import (
    ActionKind,
    CorporateAction,
    adjusted,
    adjustment_factor,
    as_declared,
    as_traded,
)
from stock_assets.market.bars import Bar

# Apple: four shares for one on 31 August 2020; 0.82 USD a share on 7 August 2020, after a close of 455.61 (as traded).
SPLIT = CorporateAction("AAPL", date(2020, 8, 31), ActionKind.SPLIT, Decimal(4))
DIVIDEND = CorporateAction("AAPL", date(2020, 8, 7), ActionKind.DIVIDEND, Decimal("0.82"), "USD", Decimal("455.61"))


def bar(start: str, price: float, volume: int = 1_000) -> Bar:
    moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return Bar("AAPL", "2m", moment, price, price, price, price, volume)


def test_a_bar_from_before_a_split_is_stored_as_it_was_traded() -> None:
    [before, after] = as_traded([bar("2020-08-28T19:58:00", 125.0, 4_000), bar("2020-08-31T13:30:00", 127.5)], [SPLIT])
    assert (before.close, before.volume) == (500.0, 1_000)
    assert after == bar("2020-08-31T13:30:00", 127.5)


def test_a_bar_belongs_to_the_date_at_its_exchange() -> None:
    sydney = CorporateAction("BHP.AX", date(2026, 11, 23), ActionKind.SPLIT, Decimal(2))
    # Monday, 10:00 in Sydney, is Sunday in UTC.
    monday = Bar("BHP.AX", "1m", datetime(2026, 11, 22, 23, tzinfo=UTC), 20, 20, 20, 20, 10)
    assert as_traded([monday], [sydney]) == [monday]


def test_a_dividend_from_before_a_split_is_stored_as_it_was_declared() -> None:
    from_yahoo = CorporateAction(
        "AAPL", DIVIDEND.ex_date, ActionKind.DIVIDEND, Decimal("0.205"), "USD", Decimal("113.9025")
    )
    assert as_declared(from_yahoo, [SPLIT]) == DIVIDEND


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2020, 8, 31), 1),
        (date(2020, 8, 28), Decimal("0.25")),
        (date(2020, 8, 7), Decimal("0.25")),
        (date(2020, 8, 6), Decimal("0.25") * (1 - Decimal("0.82") / Decimal("455.61"))),
    ],
)
def test_a_price_is_adjusted_for_splits_and_dividends_after_its_day(day: date, expected: Decimal) -> None:
    assert adjustment_factor(day, [DIVIDEND, SPLIT]) == expected


def test_prices_and_volumes_are_adjusted_for_a_split() -> None:
    [before, after] = adjusted([bar("2020-08-28T19:58:00", 500.0, 1_000), bar("2020-08-31T13:30:00", 125.0)], [SPLIT])
    assert (before.close, before.volume) == (125.0, 4_000)
    assert after.close == 125.0


def test_a_dividend_whose_close_before_is_unknown_is_ignored() -> None:
    unknown = CorporateAction("AAPL", date(2020, 8, 7), ActionKind.DIVIDEND, Decimal("0.82"), "USD")
    assert adjustment_factor(date(2020, 8, 6), [unknown]) == 1
