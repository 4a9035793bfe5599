"""`stocks watch`, `chart` and `export` on real servers, with two sessions of 2-minute bars and a live quote."""

import csv
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow.parquet as parquet
import pytest
import requests
from typer.testing import CliRunner, Result

from infra.cli.main import app
from infra.local import influxdb, kafka, postgres, secrets
from infra.local.errors import StackError
from infra.local.secrets import Secrets
from infra.look import prices as reading
from infra.look.choice import series_of, span_of
from infra.look.export import write
from infra.look.prices import Prices
from infra.look.watching import look
from infra.settings import StackSettings
from spark_streaming.contract.schema import Source
from stock_assets.market.adjustment import CorporateAction, Kind
from stock_assets.market.coverage import Coverage
from stock_assets.market.freshness import Verdict
from stock_assets.settings import CodeLocationSettings, code_location
from stock_assets.store.actions import write_actions
from stock_assets.store.coverage import write_coverage
from stock_assets.store.engine import engine_of
from stock_assets.store.migrate import upgrade
from stock_assets_tests.services.fixtures import no_settings_around

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
STOCKS = str(Path(sys.executable).with_name("stocks"))
OPENS = (datetime(2026, 11, 19, 14, 30, tzinfo=UTC), datetime(2026, 11, 20, 14, 30, tzinfo=UTC))
BARS = 195  # of a session of 2-minute bars


@dataclass(frozen=True)
class Market:
    """A bucket and a database of its own, filled; `environment` is what a shell needs to look at it."""

    settings: CodeLocationSettings
    environment: dict[str, str]
    write_token: str

    def write(self, *lines: str) -> None:
        done = requests.post(
            f"{self.settings.influxdb_url}/api/v2/write",
            params={"org": self.settings.influx_org, "bucket": self.settings.names.bucket, "precision": "s"},
            headers={"Authorization": f"Token {self.write_token}"},
            data="\n".join(lines).encode(),
            timeout=30,
        )
        assert done.status_code == 204, done.text

    def run(self, here: Path, *words: str) -> Result:
        """`stocks` with arguments, in this process: to load its modules takes a second each time."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            code_location.cache_clear()
            try:
                return CliRunner().invoke(app, list(words), env=self.environment)
            finally:
                code_location.cache_clear()


def bar(symbol: str, start: datetime, close: float, interval: str = "2m") -> str:
    prices = f"open={close - 0.1:.2f},high={close + 0.5:.2f},low={close - 0.5:.2f},close={close:.2f}"
    return f"stock-price-v1,interval={interval},symbol={symbol} {prices},volume=1000i {int(start.timestamp())}"


def session(symbol: str, opens: datetime, first: float) -> list[str]:
    return [bar(symbol, opens + timedelta(minutes=2 * n), first + 0.01 * n) for n in range(BARS)]


@pytest.fixture(scope="module")
def market(stack: StackSettings) -> Market:
    name = f"looks-{uuid.uuid4().hex[:8]}"
    own = stack.model_copy(update={"postgres_dbname": name.replace("-", "_"), "source": Source.YAHOO})
    postgres.provision(own, own.names_of(Source.YAHOO))
    kafka.create_topics(own, own.names_of(Source.YAHOO))
    tokens = influxdb.operator(stack).tokens_of(name, 365 * 24 * 3600)
    values = {
        "STOCKS_HOME": str(stack.stocks_home),
        "SOURCE": "yahoo",
        "STOCKS": "AMZN,MSFT,SAP.DE",
        "INFLUXDB_BUCKET": name,
        "INFLUX_READ_TOKEN": tokens.read,
        "INFLUXDB_URL": stack.effective_influxdb_url,
        "POSTGRES_DBNAME": own.postgres_dbname,
        "POSTGRES_PASSWORD": str(Secrets(stack.stocks_home).read(secrets.POSTGRES_PASSWORD)),
    }
    with no_settings_around(stack.stocks_home), pytest.MonkeyPatch.context() as patch:
        for key, value in values.items():
            patch.setenv(key, value)
        settings = CodeLocationSettings()
        settings.names  # noqa: B018 - cached from this environment
    upgrade(settings)
    made = Market(settings, {**os.environ, **values}, tokens.write)
    made.write(*session("AMZN", OPENS[0], 100), *session("AMZN", OPENS[1], 200), *session("MSFT", OPENS[1], 400))
    made.write(bar("AMZN", OPENS[1], 201, "1d"))
    last = OPENS[1] + timedelta(minutes=2 * (BARS - 1))
    due = OPENS[1] + timedelta(days=3)
    rows = [Coverage(s, "2m", "yahoo", last, last, f"{BARS} bars", due) for s in ("AMZN", "MSFT")]
    write_coverage(engine_of(settings.postgres), rows)
    return made


SATURDAY = OPENS[1] + timedelta(hours=24)


def test_the_board_has_every_watched_symbol_and_the_newest_session(market: Market) -> None:
    board = look(market.settings, [], SATURDAY)
    rows = {row.symbol: row for row in board.rows}
    assert list(rows) == ["AMZN", "MSFT", "SAP.DE"]
    amzn = rows["AMZN"]
    assert amzn.last == pytest.approx(201.94)
    assert amzn.change == pytest.approx(201.94 - 101.94)  # against Thursday's close
    assert [amzn.low, amzn.high] == pytest.approx([199.5, 202.44])
    assert len(amzn.closes) >= 24
    assert (amzn.verdict, amzn.market_is_open) == (Verdict.FRESH, False)
    assert rows["MSFT"].change == pytest.approx(401.94 - 399.9)  # no session before: against the first price
    assert rows["SAP.DE"].last is None
    assert board.lag == 0


def test_a_quote_that_is_newer_than_the_newest_bar_is_the_last_price(market: Market) -> None:
    after = OPENS[1] + timedelta(hours=7)
    market.write(f"stock-quote-v1,symbol=MSFT price=410.5,bid=410.4 {int(after.timestamp())}")
    [row] = look(market.settings, ["MSFT"], SATURDAY).rows
    assert (row.last, row.last_at, row.high) == (410.5, after, 410.5)


def test_a_bar_that_does_not_come_is_late(market: Market) -> None:
    [row] = look(market.settings, ["AMZN"], OPENS[1] + timedelta(days=3, hours=1)).rows
    assert row.verdict is Verdict.LATE
    assert row.market_is_open


def test_watch_prints_once_where_there_is_no_terminal(market: Market, tmp_path: Path) -> None:
    done = market.run(tmp_path, "watch")
    assert done.exit_code == 0, done.stderr
    assert re.search(r"AMZN +201\.94 +\+100\.00 +\+98\.10 %", done.stdout)
    told = json.loads(market.run(tmp_path, "watch", "AMZN", "--json").stdout)
    assert told["rows"][0]["last_at"] == "2026-11-20T20:58:00Z"


def test_watch_in_a_terminal_goes_on_until_q(market: Market, tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [STOCKS, "watch", "--every", "0.5"], cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal,
        env=market.environment | {"TERM": "xterm", "COLUMNS": "60", "LINES": "20"},
    ) as process:  # fmt: skip
        os.close(terminal)
        screens = "".join(_until(master, lambda text: text.count("AMZN") >= 3))
        assert "day range" not in screens  # too narrow for it
        os.write(master, b"q")
        assert process.wait(timeout=20) == 0
    os.close(master)


def _until(master: int, done: Callable[[str], bool]) -> Iterator[str]:
    text, end = "", time.monotonic() + 60
    while not done(text):
        assert time.monotonic() < end, text
        if select.select([master], [], [], 1)[0]:
            piece = os.read(master, 65_536).decode(errors="replace")
            text += piece
            yield piece


def test_a_chart_in_the_terminal_is_of_the_newest_session(market: Market, tmp_path: Path) -> None:
    done = market.run(tmp_path, "chart", "AMZN")
    assert done.exit_code == 0, done.stderr
    assert "AMZN  2m  2026-11-20" in done.stdout
    assert "195 bars, clock of America/New_York" in done.stdout
    assert "2026-11-19  " in market.run(tmp_path, "chart", "AMZN", "--day", "2026-11-19").stdout.replace("\n", "  ")


def test_a_chart_is_written_as_a_picture(market: Market, tmp_path: Path) -> None:
    done = market.run(tmp_path, "chart", "AMZN", "--out", "amzn.png")
    assert done.exit_code == 0, done.stderr
    picture = (tmp_path / "amzn.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    assert len(picture) > 10_000
    assert "195 bars" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
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
def test_what_can_not_be_done_is_refused_with_the_remedy(
    market: Market, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = market.run(tmp_path, *words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_has_every_value_in_both_formats(market: Market, tmp_path: Path) -> None:
    words = ("export", "AMZN", "MSFT", "--interval", "2m", "--out")
    done = market.run(tmp_path, *words, "bars.parquet")
    assert done.exit_code == 0, done.stderr
    assert f"{3 * BARS} bars" in done.stderr
    table = parquet.read_table(tmp_path / "bars.parquet")
    assert table.schema.equals(reading.BARS)
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


def test_a_day_counts_whole_and_a_time_as_it_is(market: Market, tmp_path: Path) -> None:
    def count(*words: str) -> int:
        done = market.run(tmp_path, "export", "AMZN", "--interval", "2m", "--out", "a.parquet", "--force", *words)
        assert done.exit_code == 0, done.stderr
        return len(pd.read_parquet(tmp_path / "a.parquet"))

    assert count("--from", "2026-11-20") == BARS
    assert count("--to", "2026-11-19") == BARS
    assert count("--from", "2026-11-20T14:30:00Z", "--to", "2026-11-20T14:40:00Z") == 5


def test_adjusted_prices_compare_with_todays_and_what_is_yet_to_come_changes_nothing(
    market: Market, tmp_path: Path
) -> None:
    opens = datetime(2026, 11, 12, 14, 30, tzinfo=UTC)
    market.write(bar("NVDA", opens, 200), bar("NVDA", opens + timedelta(days=1), 100))
    split = CorporateAction("NVDA", date(2026, 11, 13), Kind.SPLIT, Decimal(2))
    to_come = CorporateAction("NVDA", date(2126, 1, 2), Kind.SPLIT, Decimal(10))
    write_actions(engine_of(market.settings.postgres), [split, to_come])
    done = market.run(tmp_path, "export", "NVDA", "--adjusted", "--out", "a.parquet")
    assert done.exit_code == 0, done.stderr
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.schema.equals(reading.BARS)
    assert table.column("close").to_pylist() == [100, 100]
    assert table.column("volume").to_pylist() == [2000, 1000]
    plain = market.run(tmp_path, "export", "MSFT", "--adjusted", "--out", "b.parquet")
    assert "no split and no dividend is known" in plain.stderr


def test_a_file_that_is_there_is_kept(market: Market, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("mine")
    done = market.run(tmp_path, "export", "MSFT", "--out", "bars.csv")
    assert done.exit_code == 2
    assert "--force replaces it" in done.stderr
    assert (tmp_path / "bars.csv").read_text() == "mine"
    assert market.run(tmp_path, "export", "MSFT", "--out", "bars.csv", "--force").exit_code == 0


def test_bars_are_asked_for_in_pieces_and_none_is_lost_between_them(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_BARS_A_REQUEST", 7)
    found = list(Prices.of(market.settings).bars(("AMZN", "2m"), OPENS[0], SATURDAY))
    assert max(len(batch) for batch in found) == 7
    times = [row["time"] for batch in found for row in batch.to_pylist()]
    assert times == [opens + timedelta(minutes=2 * n) for opens in OPENS for n in range(BARS)]


def test_an_export_that_breaks_off_leaves_nothing(market: Market, tmp_path: Path) -> None:
    def broken() -> Iterator[object]:
        yield from Prices.of(market.settings).bars(("AMZN", "2m"), OPENS[0], OPENS[1])
        raise StackError("InfluxDB does not answer")

    with pytest.raises(StackError, match="does not answer"):
        write(broken(), tmp_path / "bars.parquet", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("watch",), ("chart", "AMZN"), ("export", "AMZN", "--out", "a.csv")])
def test_without_servers_the_remedy_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
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


def test_a_token_that_opens_nothing_is_told_with_the_remedy(market: Market, tmp_path: Path) -> None:
    wrong = Market(market.settings, market.environment | {"INFLUX_READ_TOKEN": "wrong"}, "")
    done = wrong.run(tmp_path, "watch")
    assert done.exit_code == 10
    assert "INFLUX_READ_TOKEN" in done.stderr


def test_every_block_of_the_page_on_exports_runs(market: Market, tmp_path: Path) -> None:
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


def test_what_is_stored_decides_the_series_and_the_span() -> None:
    stored = {("AMZN", "2m"): OPENS, ("AMZN", "1d"): OPENS, ("MSFT", "2m"): OPENS}
    assert series_of(stored, "MSFT", None) == ("MSFT", "2m")
    assert span_of("XNYS", None, None, OPENS) == (OPENS[0], OPENS[1] + timedelta(seconds=1))
    day = datetime(2026, 11, 20, 5, tzinfo=UTC)  # New York's midnight
    assert span_of("XNYS", "2026-11-20", "2026-11-20", OPENS) == (day, day + timedelta(days=1))
    assert span_of("24/7", "2026-11-20", None, OPENS)[0] == datetime(2026, 11, 20, tzinfo=UTC)
