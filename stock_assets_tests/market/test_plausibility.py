from datetime import UTC, datetime, timedelta

from stock_assets.market.plausibility import standstills

OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


def closes(*prices: float) -> list[tuple[datetime, float]]:
    return [(OPEN + timedelta(minutes=n), price) for n, price in enumerate(prices)]


def test_a_feed_that_repeats_its_last_price_stands_still() -> None:
    [stop] = standstills("AAPL", "1m", closes(10.0, *[10.5] * 20, 10.6))
    assert (stop.begin, stop.close, stop.bars) == (OPEN + timedelta(minutes=1), 10.5, 20)


def test_a_quiet_quarter_of_an_hour_does_not() -> None:
    assert standstills("AAPL", "1m", closes(*[10.5] * 15, 10.6, *[10.5] * 15)) == []
