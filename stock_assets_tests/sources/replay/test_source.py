import csv
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from stock_assets.market.bars import Bar
from stock_assets.pipeline.coverage import Coverage
from stock_assets.settings import IngestSettings
from stock_assets.sources.base import SourceBatch
from stock_assets.sources.replay.bar_file import BarFileError
from stock_assets.sources.replay.source import BUNDLED_SYMBOLS, ReplaySource

HEADER = "symbol,interval,timestamp,open,high,low,close,volume\n"
ROWS = [f"AAPL,1m,2026-11-20T14:{minute}:00Z,10,11,9,10.5,100\n" for minute in range(30, 36)]
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def replay(path: Path) -> ReplaySource:
    return ReplaySource.from_settings(IngestSettings(replay_file=path))


def run(source: ReplaySource, coverage: list[Coverage], stop: Event | None = None) -> tuple[list[Bar], list[Coverage]]:
    bars: list[Bar] = []
    rows: dict[tuple[str, str], Coverage] = {(row.symbol, row.interval): row for row in coverage}
    for batch in source.batches(coverage, stop or Event()):
        bars.extend(batch.bars)
        rows.update({(row.symbol, row.interval): row for row in batch.coverage})
    return bars, list(rows.values())


def test_all_bundled_bars_are_given_once() -> None:
    source = ReplaySource.from_settings(IngestSettings())
    assert source.symbols == BUNDLED_SYMBOLS
    assert source.is_due([], NOW)
    bars, coverage = run(source, [])
    assert len(bars) == 12_154
    assert not source.is_due(coverage, NOW)
    assert run(source, coverage)[0] == []


def test_an_interrupted_replay_continues_after_its_coverage(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + "".join(ROWS))
    third = datetime(2026, 11, 20, 14, 32, tzinfo=UTC)
    source = replay(path)
    half = [Coverage("AAPL", "1m", source.origin, third, third, "more to come", third)]
    assert source.is_due(half, NOW)
    assert [bar.start.minute for bar in run(source, half)[0]] == [33, 34, 35]


def test_a_changed_file_is_given_again(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + "".join(ROWS[:3]))
    _, coverage = run(replay(path), [])
    path.write_text(HEADER + "".join(ROWS))
    assert replay(path).is_due(coverage, NOW)
    assert len(run(replay(path), coverage)[0]) == 6


def test_an_invalid_line_at_the_end_is_an_error_before_anything_is_given(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    with path.open("w") as file:
        file.write(HEADER + "".join(ROWS))
        csv.writer(file).writerow(["AAPL", "1m", "2026-11-20T14:59:00Z", "x", 11, 9, 10, 1])
    given: list[SourceBatch] = []
    with pytest.raises(BarFileError, match="line 8: open 'x'"):
        given.extend(replay(path).batches([], Event()))
    assert given == []


def test_built_in_company_facts_are_given() -> None:
    companies = {
        company.symbol: company for company in ReplaySource.from_settings(IngestSettings()).companies(["IBM"], NOW)
    }
    assert companies["IBM"].sector == "Technology"
    assert companies["IBM"].marketcap is None
    assert companies["IBM"].entry_date.isoformat() == "2026-11-22"  # New York's Sunday evening


def test_bars_between_gives_covered_bars_again(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + "".join(ROWS))
    source = replay(path)
    begin, end = datetime(2026, 11, 20, 14, 31, tzinfo=UTC), datetime(2026, 11, 20, 14, 33, tzinfo=UTC)
    assert [bar.start.minute for bar in source.bars_between("AAPL", "1m", begin, end)] == [31, 32]
    assert source.bars_between("AAPL", "5m", begin, end) == source.bars_between("IBM", "1m", begin, end) == []
    bundled = ReplaySource.from_settings(IngestSettings())
    day = datetime(2013, 3, 1, tzinfo=UTC)
    assert [bar.close for bar in bundled.bars_between("AAPL", "1d", day, day.replace(day=2))] == [430.47]
