"""Which session dates are partitions: every calendar date, whichever exchanges the watchlist comes to."""

from pathlib import Path

import dagster as dg
import pytest

from spark_streaming.contract.schema import Source
from stock_assets.defs.sessions.partitions import make_partitions
from stock_assets.settings import CodeLocationSettings

FRIDAY, SATURDAY = "2026-11-20", "2026-11-21"
THANKSGIVING, LABOUR_DAY, NEW_YEAR = "2025-11-27", "2026-05-01", "2026-01-01"


def partitions(home: Path, *stocks: str, source: Source = Source.YAHOO, **more: object) -> dg.PartitionsDefinition:
    return make_partitions(CodeLocationSettings(stocks_home=home, source=source, stocks=stocks, **more))  # type: ignore[arg-type]


def has(of: dg.PartitionsDefinition) -> list[bool]:
    return [of.has_partition_key(day) for day in (FRIDAY, SATURDAY, THANKSGIVING, LABOUR_DAY, NEW_YEAR)]


@pytest.mark.parametrize("stocks", [("AMZN",), ("SAP.DE",), ("AMZN", "SAP.DE"), ("AMZN", "BTC-USD"), (), ("^GSPC",)])
def test_every_date_is_a_partition_whatever_the_exchanges_of_stocks(tmp_path: Path, stocks: tuple[str, ...]) -> None:
    assert has(partitions(tmp_path, *stocks)) == [True] * 5


def test_other_sources_have_the_same_partitions(tmp_path: Path) -> None:
    assert has(partitions(tmp_path, "AMZN", source=Source.SIMULATED)) == [True] * 5
    assert has(partitions(tmp_path, source=Source.REPLAY, replay_file="bars.csv")) == [True] * 5


def test_sessions_begin_at_the_date_of_the_settings(tmp_path: Path) -> None:
    of = partitions(tmp_path, "AMZN", sessions_since="2013-01-01")
    assert of.get_first_partition_key() == "2013-01-01"
