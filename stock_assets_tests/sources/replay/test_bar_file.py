from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from stock_assets.sources.replay.bar_file import BarFileError, FileLayout, check_timezone, parse_columns, read_chunks

HEADER = "symbol,interval,timestamp,open,high,low,close,volume\n"
GOOD = "AAPL,1m,2026-11-20T14:30:00Z,10,11,9,10.5,100\n"
NEXT = "AAPL,1m,2026-11-20T14:31:00Z,10,11,9,10.5,100\n"


def read(path: Path, text: str, **options: str) -> pd.DataFrame:
    path.write_text(text)
    layout = FileLayout(path, {}, **options)  # type: ignore[arg-type]
    return pd.concat([chunk.bars for chunk in read_chunks(layout)])


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "bars.csv"


def test_bars_have_types_and_times_in_utc(csv: Path) -> None:
    bars = read(csv, HEADER + GOOD + "AAPL,1m,2026-11-20T09:31:00-05:00,10,11,9,10.5,100\n")
    assert list(bars["start"]) == [pd.Timestamp("2026-11-20T14:30Z"), pd.Timestamp("2026-11-20T14:31Z")]
    assert bars["volume"].dtype == "int64"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("AAPL,1m,2026-11-20T14:31:00Z,ten,11,9,10.5,100", r"line 3: open 'ten' is not a finite number"),
        ("AAPL,1m,2026-11-20T14:31:00Z,NaN,11,9,10.5,100", r"line 3: open 'NaN' is not a finite number"),
        ("AAPL,1m,2026-11-20T14:31:00Z,10,inf,9,10.5,100", r"line 3: high 'inf' is not a finite number"),
        ("AAPL,1m,2026-11-20T14:31:00Z,10,11,0,10.5,100", r"line 3: low '0' is not a price"),
        ("AAPL,1m,2026-11-20T14:31:00Z,10,10.2,9,10.5,100", r"line 3: high '10.2' is below"),
        ("AAPL,1m,2026-11-20T14:31:00Z,10,11,10.2,10.5,100", r"line 3: low '10.2' is above"),
        ("AAPL,1m,2026-11-20T14:31:00Z,10,11,9,10.5,1.5", r"line 3: volume '1.5' is not a volume"),
        ("AAPL,1m,noon,10,11,9,10.5,100", r"line 3: timestamp 'noon' is not a time"),
        ("AAPL,1m,2026-11-20T14:29:00Z,10,11,9,10.5,100", r"line 3: .* comes after a newer bar; sort"),
        ("AAPL,1m,2026-11-20T14:30:00Z,10,11,9,10.5,100", r"line 3: .* is a duplicate of line 2; keep one"),
        ("AAPL,1m,2026-11-20T14:30:00Z,10,11,9,10.6,100", r"line 3: .* is a duplicate of line 2, with other values"),
        ("AAPL,1m,1969-12-31T23:59:00Z,10,11,9,10.5,100", r"line 3: timestamp .* is before 1970"),
        ("AAPL,1m,2126-11-20T14:30:00Z,10,11,9,10.5,100", r"line 3: timestamp .* is more than a day ahead"),
        ("AAPL,1 minute,2026-11-20T14:31:00Z,10,11,9,10.5,100", r"line 3: interval '1 minute' can't be used"),
        ("AAPL\\,1m,2026-11-20T14:31:00Z,10,11,9,10.5,100", r"line 3: symbol .* ends in a backslash"),
        ("AAPL,1m,,10,11,9,10.5,100", r"line 3: timestamp '' is not a time"),
        ("AAPL,1m,2026-11-20T14:31:00Z,10,11,9,10.5,-1", r"line 3: volume '-1' is not a volume"),
    ],
)
def test_an_error_names_the_invalid_line_and_its_value(csv: Path, line: str, problem: str) -> None:
    with pytest.raises(BarFileError, match=problem):
        read(csv, HEADER + GOOD + line + "\n")


def test_a_high_below_the_close_by_rounding_is_valid(csv: Path) -> None:
    assert len(read(csv, HEADER + "AAPL,1m,2026-11-20T14:30:00Z,10,10.4999998,9,10.5,100\n")) == 1


def test_an_error_names_the_missing_column_and_the_columns_of_the_file(csv: Path) -> None:
    with pytest.raises(BarFileError, match=r"no column for volume; it has .*'close'\]: name it with --columns volume="):
        read(csv, "symbol,interval,timestamp,open,high,low,close\n")


def test_a_naive_time_needs_a_time_zone(csv: Path) -> None:
    text = HEADER + "AAPL,1m,2026-11-20 09:30:00,10,11,9,10.5,100\n"
    with pytest.raises(BarFileError, match="has no time zone; give --timezone"):
        read(csv, text)
    [start] = read(csv, text, timezone="America/New_York")["start"]
    assert start == datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


def test_a_time_in_the_hour_that_is_repeated_is_ambiguous(csv: Path) -> None:
    text = HEADER + "AAPL,1m,2026-11-01 01:30:00,10,11,9,10.5,100\n"
    with pytest.raises(BarFileError, match="is ambiguous in America/New_York"):
        read(csv, text, timezone="America/New_York")


def test_a_bar_with_a_date_only_starts_at_the_open(csv: Path) -> None:
    text = "Date,Open,High,Low,Close,Volume,Adj Close\n2013-03-01,10,11,9,10.5,100,3\n"
    [start] = read(csv, text, symbol="AAPL", interval="1d")["start"]
    assert start == datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
    with pytest.raises(BarFileError, match="2013-03-02 was no trading day of XNYS"):
        read(csv, text.replace("2013-03-01", "2013-03-02"), symbol="AAPL", interval="1d")


def test_columns_are_mapped_as_the_option_says(csv: Path) -> None:
    text = "when,o,h,l,c,v\n2026-11-20T14:30:00Z,10,11,9,10.5,100\n"
    columns = parse_columns("timestamp=when,open=o,high=h,low=l,close=c,volume=v")
    csv.write_text(text)
    [chunk] = read_chunks(FileLayout(csv, columns, symbol="X", interval="1m"))
    assert chunk.bars.iloc[0]["close"] == 10.5
    with pytest.raises(BarFileError, match="no column 'zzz' for open"):
        next(iter(read_chunks(FileLayout(csv, {**columns, "open": "zzz"}, symbol="X", interval="1m"))))
    with pytest.raises(BarFileError, match="colour is no field of a bar"):
        parse_columns("colour=blue")


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(["2026-11-20T14:30Z"]),
            "open": [10.0],
            "high": 11.0,
            "low": 9.0,
            "close": 10.5,
            "volume": 7,
        }
    )
    frame.to_parquet(tmp_path / "bars.parquet")
    [chunk] = read_chunks(FileLayout(tmp_path / "bars.parquet", {}, symbol="X", interval="1m"))
    assert chunk.bars.iloc[0]["start"] == pd.Timestamp("2026-11-20T14:30Z")


def test_a_missing_or_empty_file_is_an_error(tmp_path: Path, csv: Path) -> None:
    with pytest.raises(BarFileError, match="there is no such file"):
        list(read_chunks(FileLayout(tmp_path / "none.csv", {})))
    with pytest.raises(BarFileError, match="it has no rows"):
        read(csv, HEADER)
    with pytest.raises(BarFileError, match="it can't be read"):
        read(csv, "")


def test_the_error_names_the_first_invalid_line_of_any_check(csv: Path) -> None:
    late = "AAPL,1m,2026-11-20T14:31:00Z,10,11,9,10.5,1.5\n"
    early = "AAPL,1m,2026-11-20T14:32:00Z,ten,11,9,10.5,1\n"
    with pytest.raises(BarFileError, match=r"line 3: volume '1.5' .*and 1 more lines"):
        read(csv, HEADER + GOOD + late + early)


def test_blank_lines_are_ignored_and_count_as_lines(csv: Path) -> None:
    assert len(read(csv, HEADER + GOOD + "\n" + NEXT + "\n\n")) == 2
    with pytest.raises(BarFileError, match="line 4: open"):
        read(csv, HEADER + GOOD + "\n" + NEXT.replace("10,11", "x,11"))


def test_invalid_lines_are_left_out_and_listed_with_skip_invalid(csv: Path) -> None:
    bad = [
        "AAPL,1m,2026-11-20T14:30:00Z,10,11,9,10.5,100\n",
        "AAPL,1m,2026-11-20T14:29:00Z,10,11,9,10.5,100\n",
        "AAPL,1m,2026-11-20T14:30:30Z,NaN,11,9,10.5,100\n",
    ]
    csv.write_text(HEADER + GOOD + "".join(bad) + NEXT)
    [chunk] = read_chunks(FileLayout(csv, {}, skip_invalid=True))
    assert list(chunk.bars["start"].dt.minute) == [30, 31]
    assert [invalid.line for invalid in chunk.left_out] == [3, 4, 5]


def test_a_file_without_a_valid_line_is_an_error_even_with_skip_invalid(csv: Path) -> None:
    csv.write_text(HEADER + GOOD.replace("10,11", "x,11"))
    with pytest.raises(BarFileError, match="none of its 1 rows is a bar"):
        list(read_chunks(FileLayout(csv, {}, skip_invalid=True)))


def test_the_order_of_bars_is_checked_across_chunks(csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stock_assets.sources.replay.bar_file._ROWS_A_CHUNK", 1)
    assert len(read(csv, HEADER + GOOD + NEXT)) == 2
    with pytest.raises(BarFileError, match=r"line 4: .* comes after a newer bar"):
        read(csv, HEADER + GOOD + NEXT + GOOD)


def test_an_unknown_time_zone_is_an_error_that_names_it() -> None:
    with pytest.raises(BarFileError, match="New_Amsterdam: there is no such time zone"):
        check_timezone("America/New_Amsterdam")


DAYS = "Date,Open,High,Low,Close,Volume\n2013-02-28,10,11,9,10.5,100\n"


def test_an_invalid_date_changes_no_other_line_and_is_listed(csv: Path) -> None:
    csv.write_text(DAYS + "n/a,10,11,9,10.5,100\n2013-03-01 00:00:00,10,11,9,10.5,100\n")
    layout = FileLayout(csv, {}, symbol="AAPL", interval="1d", timezone="America/New_York", skip_invalid=True)
    [chunk] = read_chunks(layout)
    assert [start.hour for start in chunk.bars["start"]] == [14, 14]
    assert [invalid.line for invalid in chunk.left_out] == [3]
    with pytest.raises(BarFileError, match="line 3: Date 'n/a' is not a time"):
        list(read_chunks(replace(layout, skip_invalid=False)))


def test_a_comma_at_the_end_of_each_row_makes_no_column(csv: Path) -> None:
    bars = read(csv, "Date,Open,High,Low,Close,Volume,\n2013-02-28,10,11,9,10.5,100,\n", symbol="AAPL", interval="1d")
    assert bars.iloc[0]["open"] == 10


def test_a_bar_of_1985_starts_at_its_sessions_open(csv: Path) -> None:
    [start] = read(csv, DAYS.replace("2013-02-28", "1985-01-02"), symbol="IBM", interval="1d")["start"]
    assert start == datetime(1985, 1, 2, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("AAPL,1m,2026-11-20T14:31:00.5Z,10,11,9,10.5,100", "is not a whole second"),
        ("^GDAXI,1m,2026-11-20T14:31:00Z,10,11,9,10.5,100", "have no trading calendar here"),
    ],
)
def test_fractions_of_a_second_and_symbols_without_a_calendar_are_invalid(csv: Path, line: str, problem: str) -> None:
    with pytest.raises(BarFileError, match=problem):
        read(csv, HEADER + GOOD + line + "\n")


@pytest.mark.parametrize("times", [[date(2013, 3, 1)], [pd.Timestamp("2013-03-01")]])
def test_dates_of_a_parquet_file_are_dates(tmp_path: Path, times: list[object]) -> None:
    prices = {"open": [10.0], "high": 11.0, "low": 9.0, "close": 10.5, "volume": 7}
    pd.DataFrame({"date": times, **prices}).to_parquet(tmp_path / "days.parquet")
    [chunk] = read_chunks(FileLayout(tmp_path / "days.parquet", {}, symbol="AAPL", interval="1d"))
    assert chunk.bars.iloc[0]["start"] == pd.Timestamp("2013-03-01T14:30Z")


def test_numbers_as_times_and_missing_symbols_are_invalid(tmp_path: Path) -> None:
    prices = {"open": [10.0], "high": 11.0, "low": 9.0, "close": 10.5, "volume": 7, "interval": "1m"}
    pd.DataFrame({"time": [1_362_148_200], "symbol": ["X"], **prices}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(BarFileError, match="line 1: time '1362148200' is not a time"):
        list(read_chunks(FileLayout(tmp_path / "a.parquet", {})))
    pd.DataFrame({"time": ["2026-11-20T14:31:00Z"], "symbol": [None], **prices}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(BarFileError, match="line 1: symbol 'None' is missing"):
        list(read_chunks(FileLayout(tmp_path / "b.parquet", {})))


DAY = "Date,Open,High,Low,Close,Volume\n"
UNEVEN = [
    ("2024-03-04,51.2,52,50.9,51.8,1,081,200", r"Volume '1' is followed by '081', '200', for which the header has no"),
    ("2024-03-04,51.2,52,50.9,51.8,1,912", r"Volume '1' is followed by '912', for which the header has no column"),
    ("2024-03-04,51.2,52,50.9,51.8,1,,,,,5", r"Volume '1' is followed by '5', for which"),
    ("2024-03-04,51.2,52,50.9,51.8", r"Volume '' is missing: 5 cells, and the header has 6"),
    ("2024-03-04", r"Open '' is missing: 1 cells, and the header has 6"),
]


@pytest.mark.parametrize(("line", "problem"), UNEVEN)
@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("rows_a_chunk", [1, 2, 100_000])
def test_a_line_with_more_or_fewer_cells_than_the_header_is_an_error_wherever_it_is(
    csv: Path, monkeypatch: pytest.MonkeyPatch, line: str, problem: str, before: int, rows_a_chunk: int
) -> None:
    monkeypatch.setattr("stock_assets.sources.replay.bar_file._ROWS_A_CHUNK", rows_a_chunk)
    days = [f"{day},51.2,52,50.9,51.8,100\n" for day in ("2024-02-29", "2024-03-01", "2024-03-05")]
    csv.write_text(DAY + "".join([*days[:before], f"{line}\n", *days[before:]]))
    layout = FileLayout(csv, {}, symbol="KO", interval="1d")
    with pytest.raises(BarFileError, match=rf"bars.csv, line {before + 2}: {problem}.* with --skip-invalid"):
        list(read_chunks(layout))
    chunks = list(read_chunks(replace(layout, skip_invalid=True)))
    assert [invalid.line for chunk in chunks for invalid in chunk.left_out] == [before + 2]
    assert [volume for chunk in chunks for volume in chunk.bars["volume"]] == [100, 100, 100]


def test_a_comma_at_the_end_of_rows_or_header_alone_is_no_cell(csv: Path) -> None:
    options = {"symbol": "KO", "interval": "1d"}
    for header, end in ((DAY, ","), (DAY, ",,"), (DAY.replace("\n", ",\n"), ""), (DAY.replace("\n", ",\n"), ",")):
        [volume] = read(csv, f"{header}2024-03-04,51.2,52,50.9,51.8,100{end}\n", **options)["volume"]
        assert volume == 100


def test_quoted_cells_may_hold_commas_and_line_breaks(csv: Path) -> None:
    text = 'Date,Open,High,Low,Close,Volume,Note\n2024-03-04,51.2,52,50.9,51.8,100,"a, b\nc"\n2024-03-05,1,1,1,1,x,\n'
    with pytest.raises(BarFileError, match="line 4: Volume 'x'"):
        read(csv, text, symbol="KO", interval="1d")
