from datetime import UTC, datetime, timedelta

from stock_assets.market.plausibility import standstills

OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


def closes(*prices: float) -> list[tuple[datetime, float]]:
    return [(OPEN + timedelta(minutes=n), price) for n, price in enumerate(prices)]


def test_the_same_close_in_20_bars_is_a_standstill() -> None:
    [found] = standstills("AAPL", "1m", closes(10.0, *[10.5] * 20, 10.6))
    assert (found.begin, found.close, found.bars) == (OPEN + timedelta(minutes=1), 10.5, 20)


def test_the_same_close_in_15_bars_is_not_a_standstill() -> None:
    assert standstills("AAPL", "1m", closes(*[10.5] * 15, 10.6, *[10.5] * 15)) == []
