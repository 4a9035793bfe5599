"""`stocks watch` and `chart` on real servers, with two sessions of 2-minute bars and a live quote."""

import json
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.views.quote_board import load_board
from infra.views.selection import select_series, time_range
from stock_assets.pipeline.freshness import FreshnessStatus
from stock_assets_tests.infra.views.market import OPENS, SATURDAY, STOCKS, Market

pytestmark = pytest.mark.services


def test_the_board_shows_every_watched_symbol_and_its_newest_session(market: Market) -> None:
    board = load_board(market.settings, [], SATURDAY)
    rows = {row.symbol: row for row in board.rows}
    assert list(rows) == ["AMZN", "MSFT", "SAP.DE"]
    amzn = rows["AMZN"]
    assert amzn.last == pytest.approx(201.94)
    assert amzn.change == pytest.approx(201.94 - 101.94)  # against Thursday's close
    assert [amzn.low, amzn.high] == pytest.approx([199.5, 202.44])
    assert len(amzn.closes) >= 24
    assert (amzn.status, amzn.market_is_open) == (FreshnessStatus.FRESH, False)
    assert rows["MSFT"].change == pytest.approx(401.94 - 399.9)  # no session before: against the first price
    assert rows["SAP.DE"].last is None
    assert board.lag == 0


def test_a_quote_newer_than_the_newest_bar_is_the_last_price(market: Market) -> None:
    after = OPENS[1] + timedelta(hours=7)
    market.write(f"stock-quote-v1,symbol=MSFT price=410.5,bid=410.4 {int(after.timestamp())}")
    [row] = load_board(market.settings, ["MSFT"], SATURDAY).rows
    assert (row.last, row.last_at, row.high) == (410.5, after, 410.5)


def test_a_missing_bar_makes_its_symbol_late(market: Market) -> None:
    [row] = load_board(market.settings, ["AMZN"], OPENS[1] + timedelta(days=3, hours=1)).rows
    assert row.status is FreshnessStatus.LATE
    assert row.market_is_open


def test_watch_prints_once_without_a_terminal(market: Market, tmp_path: Path) -> None:
    done = market.run(tmp_path, "watch")
    assert done.exit_code == 0, done.stderr
    assert re.search(r"AMZN +201\.94 +\+100\.00 +\+98\.10 %", done.stdout)
    printed = json.loads(market.run(tmp_path, "watch", "AMZN", "--json").stdout)
    assert printed["rows"][0]["last_at"] == "2026-11-20T20:58:00Z"


def test_watch_in_a_terminal_runs_until_q(market: Market, tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [STOCKS, "watch", "--every", "0.5"], cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal,
        env=market.environment | {"TERM": "xterm", "COLUMNS": "60", "LINES": "20"},
    ) as process:  # fmt: skip
        os.close(terminal)
        try:
            screens = "".join(_read_until(master, lambda text: text.count("AMZN") >= 3))
            assert "day range" not in screens  # too narrow for it
            os.write(master, b"q")
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()  # leaving the block waits for its end, also where the test has failed
    os.close(master)


def _read_until(master: int, done: Callable[[str], bool]) -> Iterator[str]:
    text, end = "", time.monotonic() + 240  # importing all modules takes half a minute on a busy machine
    while not done(text):
        assert time.monotonic() < end, text
        if select.select([master], [], [], 1)[0]:
            piece = os.read(master, 65_536).decode(errors="replace")
            text += piece
            yield piece


def test_a_chart_in_the_terminal_shows_the_newest_session(market: Market, tmp_path: Path) -> None:
    done = market.run(tmp_path, "chart", "AMZN")
    assert done.exit_code == 0, done.stderr
    assert "AMZN  2m  2026-11-20" in done.stdout
    assert "195 bars, clock of America/New_York" in done.stdout
    assert "2026-11-19  " in market.run(tmp_path, "chart", "AMZN", "--day", "2026-11-19").stdout.replace("\n", "  ")


def test_a_chart_is_written_as_an_image(market: Market, tmp_path: Path) -> None:
    done = market.run(tmp_path, "chart", "AMZN", "--out", "amzn.png")
    assert done.exit_code == 0, done.stderr
    image = (tmp_path / "amzn.png").read_bytes()
    assert image.startswith(b"\x89PNG\r\n")
    assert len(image) > 10_000
    assert "195 bars" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("chart", "AMZN", "--day", "2026-11-21"), "no bar of AMZN is stored of 2026-11-21"),
        (("chart", "AMZN", "--interval", "1d", "--day", "2026-11-20"), "Leave out --day"),
        (("chart", "AMZN", "--out", "amzn.doc"), "has to end in one of .png"),
        (("chart", "NOPE"), "there are bars of: AMZN, MSFT"),
        (("watch", "NOPE"), "no bar of NOPE is stored"),
        (("export", "AMZN", "--out", "a.csv"), "choose one by --interval"),
        (("export", "AMZN", "--interval", "1h", "--out", "a.csv"), "stored in 2m, 1d, not in 1h"),
        (("export", "MSFT", "--from", "2026-11-22", "--out", "a.csv"), "--to None is not after"),
        (("export", "MSFT", "--from", "yesterday", "--out", "a.csv"), "a day is 2026-11-20"),
        (("export", "MSFT", "--from", "2026-11-20T14:30:00", "--out", "a.csv"), "write 2026-11-20T14:30:00Z for UTC"),
        (("export", "MSFT", "--to", "2026-11-18", "--from", "2026-11-17", "--out", "a.csv"), "no bar of MSFT"),
        (("export", "MSFT", "--out", "a.xlsx"), "has to end in one of .parquet"),
        (("export", "MSFT", "--out", "nowhere/a.csv"), "is no folder"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_hint(
    market: Market, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = market.run(tmp_path, *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("watch",), ("chart", "AMZN"), ("export", "AMZN", "--out", "a.csv")])
def test_without_servers_the_message_has_the_remedy(tmp_path: Path, words: tuple[str, ...]) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "STOCKS_HOME": str(tmp_path / "home"),
        "INFLUXDB_URL": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [STOCKS, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 5
    assert "start the platform with `stocks up`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_token_is_reported_with_its_setting(market: Market, tmp_path: Path) -> None:
    wrong = Market(market.settings, market.environment | {"INFLUX_READ_TOKEN": "wrong"}, "")
    done = wrong.run(tmp_path, "watch")
    assert done.exit_code == 10
    assert "INFLUX_READ_TOKEN" in done.stderr


def test_stored_data_decides_the_series_and_the_range() -> None:
    stored = {("AMZN", "2m"): OPENS, ("AMZN", "1d"): OPENS, ("MSFT", "2m"): OPENS}
    assert select_series(stored, "MSFT", None) == ("MSFT", "2m")
    assert time_range("XNYS", None, None, OPENS) == (OPENS[0], OPENS[1] + timedelta(seconds=1))
    day = datetime(2026, 11, 20, 5, tzinfo=UTC)  # New York's midnight
    assert time_range("XNYS", "2026-11-20", "2026-11-20", OPENS) == (day, day + timedelta(days=1))
    assert time_range("24/7", "2026-11-20", None, OPENS)[0] == datetime(2026, 11, 20, tzinfo=UTC)
