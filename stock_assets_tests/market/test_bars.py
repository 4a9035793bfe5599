import json
from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.market.bars import Bar, interval_length
from stock_assets.market.plausibility import jumps

BAR = Bar("AMZN", "1m", datetime(2026, 11, 20, 14, 30, tzinfo=UTC), 217.1, 217.4, 216.9, 217.2, 48210)


def test_key_and_value_are_those_of_the_contract() -> None:
    assert BAR.key == b"AMZN"
    assert json.loads(BAR.value) == {
        "symbol": "AMZN",
        "timestamp": "2026-11-20T14:30:00Z",
        "interval": "1m",
        "open": 217.1,
        "high": 217.4,
        "low": 216.9,
        "close": 217.2,
        "volume": 48210,
    }


@pytest.mark.parametrize(("interval", "minutes"), [("1m", 1), ("90m", 90), ("1h", 60), ("1d", None), ("1wk", None)])
def test_the_length_of_an_interval(interval: str, minutes: int | None) -> None:
    assert interval_length(interval) == (timedelta(minutes=minutes) if minutes else None)


def test_a_split_is_a_jump_and_a_usual_loss_is_not() -> None:
    days = [datetime(2005, 2, day, 14, 30, tzinfo=UTC) for day in (24, 25, 28)]
    [jump] = jumps("AAPL", "1d", zip(days, [88.93, 71.2, 44.86 / 1.26], strict=True))
    assert jump.start == days[2]
    assert jump.change == pytest.approx(-0.5, abs=0.001)
