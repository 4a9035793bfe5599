from datetime import UTC, datetime, timedelta
from threading import Event, Timer

import pytest

from spark_streaming.contract.validity import rejection_reason
from stock_assets.market.bars import Bar
from stock_assets.sources.base import SourceError
from stock_assets.sources.simulated.source import SimulatedSource

LONG_AGO = datetime(2026, 11, 20, 14, 59, 58, tzinfo=UTC)


def all_bars(source: SimulatedSource) -> list[Bar]:
    return [bar for batch in source.batches([], Event()) for bar in batch.bars]


def test_the_same_seed_gives_the_same_prices_and_another_seed_others() -> None:
    first, again, other = (all_bars(SimulatedSource(["AMZN"], seed, LONG_AGO, bars=10)) for seed in (7, 7, 8))
    assert first == again
    assert [bar.start for bar in first] == [LONG_AGO + timedelta(seconds=n) for n in range(10)]
    assert {bar.close for bar in first}.isdisjoint({bar.close for bar in other})


def test_a_bar_opens_where_the_one_before_closed_across_hours_too() -> None:
    bars = all_bars(SimulatedSource(["AMZN"], 7, LONG_AGO, bars=10))
    assert [bar.open for bar in bars[1:]] == [bar.close for bar in bars[:-1]]


def test_every_bar_is_valid() -> None:
    for bar in all_bars(SimulatedSource(["AMZN", "BTC-USD"], 7, LONG_AGO, bars=200)):
        assert rejection_reason(bar.key, bar.value, LONG_AGO + timedelta(hours=1)) is None


def test_it_continues_after_the_coverage_and_ends() -> None:
    source = SimulatedSource(["AMZN"], 7, LONG_AGO, bars=10)
    [only] = source.batches([], Event())
    [coverage] = only.coverage
    assert coverage.next_due is None
    assert not source.is_due([coverage], LONG_AGO)
    assert list(source.batches([coverage], Event())) == []


def test_check_raises_for_a_symbol_without_an_exchange() -> None:
    with pytest.raises(SourceError, match=r"TEF\.MC: no exchange is known"):
        SimulatedSource(["AMZN", "TEF.MC"], 7, LONG_AGO, bars=10).check()


def test_it_ends_when_stop_is_set() -> None:
    stop = Event()
    Timer(0.2, stop.set).start()
    source = SimulatedSource(["AMZN"], 7, datetime.now(UTC) + timedelta(hours=1), bars=None)
    assert list(source.batches([], stop)) == []


def test_bars_between_gives_the_same_bars_and_none_before_or_after() -> None:
    source = SimulatedSource(["AMZN"], 7, LONG_AGO, bars=10)
    day = timedelta(days=1)
    assert source.bars_between("AMZN", "1s", LONG_AGO - day, LONG_AGO + day) == all_bars(source)
    assert source.bars_between("AMZN", "1m", LONG_AGO - day, LONG_AGO + day) == []
