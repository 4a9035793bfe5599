"""`stocks export` on real servers, with two sessions of 2-minute bars."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow.parquet as parquet
import pytest

from infra.host.errors import StackError
from infra.views import prices as price_reader
from infra.views.export import write_bars
from infra.views.prices import PriceReader
from stock_assets.market.adjustment import ActionKind, CorporateAction
from stock_assets.store.corporate_actions import write_actions
from stock_assets.store.engine import make_engine
from stock_assets_tests.infra.views.market import BARS, OPENS, SATURDAY, Market, bar

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[3]


def test_an_export_has_every_value_in_both_formats(market: Market, tmp_path: Path) -> None:
    words = ("export", "AMZN", "MSFT", "--interval", "2m", "--out")
    done = market.run(tmp_path, *words, "bars.parquet")
    assert done.exit_code == 0, done.stderr
    assert f"{3 * BARS} bars" in done.stderr
    table = parquet.read_table(tmp_path / "bars.parquet")
    assert table.schema.equals(price_reader.BARS)
    assert table.schema.metadata[b"stocks.source"] == b"yahoo"
    assert market.run(tmp_path, *words, "bars.csv").exit_code == 0
    rows = list(csv.DictReader((tmp_path / "bars.csv").read_text().splitlines()))
    expected = [
        (symbol, opens + timedelta(minutes=2 * n), round(first + 0.01 * n, 2))
        for symbol, opens, first in (("AMZN", OPENS[0], 100), ("AMZN", OPENS[1], 200), ("MSFT", OPENS[1], 400))
        for n in range(BARS)
    ]
    assert [(row["symbol"], row["time"], row["close"]) for row in table.to_pylist()] == expected
    assert [(r["symbol"], datetime.fromisoformat(r["time"]), float(r["close"])) for r in rows] == expected
    assert {row["volume"] for row in rows} == {"1000"}


def test_a_date_means_the_whole_day_and_a_time_is_exact(market: Market, tmp_path: Path) -> None:
    def count(*words: str) -> int:
        done = market.run(tmp_path, "export", "AMZN", "--interval", "2m", "--out", "a.parquet", "--force", *words)
        assert done.exit_code == 0, done.stderr
        return len(pd.read_parquet(tmp_path / "a.parquet"))

    assert count("--from", "2026-11-20") == BARS
    assert count("--to", "2026-11-19") == BARS
    assert count("--from", "2026-11-20T14:30:00Z", "--to", "2026-11-20T14:40:00Z") == 5


def test_adjusted_prices_compare_with_todays_and_a_future_split_changes_nothing(market: Market, tmp_path: Path) -> None:
    opens = datetime(2026, 11, 12, 14, 30, tzinfo=UTC)
    market.write(bar("NVDA", opens, 200), bar("NVDA", opens + timedelta(days=1), 100))
    split = CorporateAction("NVDA", date(2026, 11, 13), ActionKind.SPLIT, Decimal(2))
    to_come = CorporateAction("NVDA", date(2126, 1, 2), ActionKind.SPLIT, Decimal(10))
    write_actions(make_engine(market.settings.postgres), [split, to_come])
    done = market.run(tmp_path, "export", "NVDA", "--adjusted", "--out", "a.parquet")
    assert done.exit_code == 0, done.stderr
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.schema.equals(price_reader.BARS)
    assert table.column("close").to_pylist() == [100, 100]
    assert table.column("volume").to_pylist() == [2000, 1000]
    plain = market.run(tmp_path, "export", "MSFT", "--adjusted", "--out", "b.parquet")
    assert "no split and no dividend is known" in plain.stderr


def test_an_existing_file_is_kept(market: Market, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("mine")
    done = market.run(tmp_path, "export", "MSFT", "--out", "bars.csv")
    assert done.exit_code == 2
    assert "--force replaces it" in done.stderr
    assert (tmp_path / "bars.csv").read_text() == "mine"
    assert market.run(tmp_path, "export", "MSFT", "--out", "bars.csv", "--force").exit_code == 0


def test_bars_are_queried_in_chunks_and_none_is_lost_between_them(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_reader, "_BARS_A_REQUEST", 7)
    found = list(PriceReader.from_settings(market.settings).bars(("AMZN", "2m"), OPENS[0], SATURDAY))
    assert max(len(batch) for batch in found) == 7
    times = [row["time"] for batch in found for row in batch.to_pylist()]
    assert times == [opens + timedelta(minutes=2 * n) for opens in OPENS for n in range(BARS)]


def test_an_export_that_fails_leaves_no_file(market: Market, tmp_path: Path) -> None:
    def broken() -> Iterator[object]:
        yield from PriceReader.from_settings(market.settings).bars(("AMZN", "2m"), OPENS[0], OPENS[1])
        raise StackError("InfluxDB does not answer")

    with pytest.raises(StackError, match="does not answer"):
        write_bars(broken(), tmp_path / "bars.parquet", {})
    assert list(tmp_path.iterdir()) == []


def test_every_code_block_of_docs_exports_runs(market: Market, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "exports.md").read_text()
    blocks = re.findall(r"```(sh|python)\n(.*?)```", page, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["sh", "python", "python", "python", "python"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for kind, text in blocks:
        text = text.replace('"stock-prices"', f'"{market.settings.influxdb_bucket}"')
        text = text.replace("export AMZN", "export AMZN --interval 2m")
        program = [sys.executable, "-W", "error::FutureWarning", "-c"] if kind == "python" else ["sh", "-euc"]
        done = subprocess.run(
            [*program, text], cwd=tmp_path, env=market.environment | {"PATH": path}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        assert kind == "sh" or "assert" in text or "201.9" in done.stdout, done.stdout
