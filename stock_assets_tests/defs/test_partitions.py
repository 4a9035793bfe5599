"""Which session dates are partitions: the trading days of the exchanges in use."""

from pathlib import Path

import dagster as dg
import pytest

from spark_streaming.contract.schema import Source
from stock_assets.defs.sessions.partitions import partitions_of
from stock_assets.settings import CodeLocationSettings

FRIDAY, SATURDAY = "2026-11-20", "2026-11-21"
THANKSGIVING, LABOUR_DAY, NEW_YEAR = "2025-11-27", "2026-05-01", "2026-01-01"


def partitions(home: Path, *stocks: str, source: Source = Source.YAHOO, **more: object) -> dg.PartitionsDefinition:
    return partitions_of(CodeLocationSettings(stocks_home=home, source=source, stocks=stocks, **more))  # type: ignore[arg-type]


def has(of: dg.PartitionsDefinition) -> list[bool]:
    return [of.has_partition_key(day) for day in (FRIDAY, SATURDAY, THANKSGIVING, LABOUR_DAY, NEW_YEAR)]


def test_an_exchanges_holidays_are_no_partitions(tmp_path: Path) -> None:
    assert has(partitions(tmp_path, "AMZN")) == [True, False, False, True, False]
    assert has(partitions(tmp_path, "SAP.DE")) == [True, False, True, False, False]


def test_of_several_exchanges_each_day_counts_on_which_one_trades(tmp_path: Path) -> None:
    assert has(partitions(tmp_path, "AMZN", "SAP.DE")) == [True, False, True, True, False]


def test_what_trades_around_the_clock_makes_every_day_one(tmp_path: Path) -> None:
    assert has(partitions(tmp_path, "AMZN", "BTC-USD")) == [True] * 5
    assert has(partitions(tmp_path, "AMZN", source=Source.SIMULATED)) == [True] * 5
    assert has(partitions(tmp_path, source=Source.REPLAY, replay_file="bars.csv")) == [True] * 5


@pytest.mark.parametrize("stocks", [(), ("^GSPC",)])
def test_symbols_without_a_known_exchange_exclude_no_day(tmp_path: Path, stocks: tuple[str, ...]) -> None:
    assert has(partitions(tmp_path, *stocks)) == [True] * 5


def test_sessions_begin_where_the_settings_say(tmp_path: Path) -> None:
    of = partitions(tmp_path, "AMZN", sessions_since="2013-01-01")
    assert of.get_first_partition_key() == "2013-01-02"
