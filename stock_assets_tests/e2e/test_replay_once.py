"""The whole platform, started by `stocks up --once` in an empty home: the test of an installation, and every value."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib import resources
from pathlib import Path
from shutil import rmtree
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient

from stock_assets_tests.services.fixtures import free_ports, open_folder

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

STOCKS = str(Path(sys.executable).with_name("stocks"))
BARS = {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}
PORTS = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "INFLUXDB_PORT", "POSTGRES_PORT", "DAGSTER_PORT", "DAGSTER_CODE_PORT")

Value = tuple[float, float, float, float, int]


class Installation:
    """The command `stocks` with a new home and free ports."""

    def __init__(self) -> None:
        self.home = open_folder()
        ports = zip(PORTS, map(str, free_ports(len(PORTS))), strict=True)
        self.environment = os.environ | {"STOCKS_HOME": str(self.home)} | dict(ports)
        self.environment.pop("INFLUXDB_URL", None)

    def stocks(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [STOCKS, *words],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def processes(self) -> list[str]:
        """Return the processes that have this home in their command line or environment."""
        return [" ".join(process.cmdline()) for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return str(self.home) in " ".join(process.cmdline()) or process.environ().get("STOCKS_HOME") == str(
                self.home
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def stored(self) -> dict[tuple[str, datetime], Value]:
        token = (self.home / "secrets" / "replay" / "influx_read_token").read_text().strip()
        flux = (
            'from(bucket: "stock-prices-replay") |> range(start: 1970-01-01T00:00:00Z) '
            '|> filter(fn: (r) => r._measurement == "stock-price-v1" and r.interval == "1d") '
            '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
        )
        found: dict[tuple[str, datetime], Value] = {}
        url = f"http://127.0.0.1:{self.environment['INFLUXDB_PORT']}"
        with InfluxDBClient(url=url, token=token, org="stocks", timeout=60_000) as client:
            for record in client.query_api().query_stream(flux):
                row = record.values
                found[row["symbol"], row["_time"]] = (row["open"], row["high"], row["low"], row["close"], row["volume"])
        return found


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    made = Installation()
    yield made
    made.stocks("down")
    rmtree(made.home, ignore_errors=True)


@pytest.fixture(scope="module")
def once(installation: Installation) -> dict[str, Any]:
    """The report that `--once --json` prints on stdout."""
    done = installation.stocks("up", "--source", "replay", "--once", "--json")
    assert done.returncode == 0, done.stderr[-5000:]
    assert "Warning" not in done.stderr, "warnings for authors of definitions must not reach users"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def bars_of_the_files() -> dict[tuple[str, datetime], Value]:
    """Return the bars, read without the platform's code: a daily bar starts at 9:30 in New York."""
    bars: dict[tuple[str, datetime], Value] = {}
    for symbol in BARS:
        text = (resources.files("bokeh_sampledata") / "_data" / f"{symbol}.csv").read_text()
        for row in csv.DictReader(text.splitlines()):
            start = datetime.fromisoformat(f"{row['Date']}T09:30:00").replace(tzinfo=ZoneInfo("America/New_York"))
            prices = float(row["Open"]), float(row["High"]), float(row["Low"]), float(row["Close"])
            bars[symbol, start] = (*prices, int(row["Volume"]))
    return bars


def test_every_bar_is_accounted_for(once: dict[str, Any]) -> None:
    rows = {row["symbol"]: row for row in once["symbols"]}
    assert {symbol: row["published"] for symbol, row in rows.items()} == BARS
    for row in rows.values():
        assert (row["stored"], row["dead_lettered"]) == (row["published"], 0)
        assert row["newest"] == "2013-03-01T14:30:00Z"
    assert rows["FB"]["oldest"] == "2012-05-18T13:30:00Z"


def test_only_the_plausibility_of_prices_warns(once: dict[str, Any]) -> None:
    checks = {check["name"]: check for check in once["checks"]}
    assert {name: check["passed"] for name, check in checks.items()} == {
        "company_facts_are_complete": True,
        "no_dead_letters": True,
        "no_quote_dead_letters": True,
        "quotes_are_fresh": True,
        "prices_are_fresh": True,
        "prices_are_plausible": False,
        "stored_equals_published": True,
        "session_is_complete": True,
        "stream_keeps_up": True,
    }
    assert checks["prices_are_plausible"]["severity"] == "WARN"


def test_no_process_is_left(once: dict[str, Any], installation: Installation) -> None:
    assert installation.processes() == []


def test_after_a_restart_every_value_of_the_files_is_stored(once: dict[str, Any], installation: Installation) -> None:
    started = installation.stocks("up", "--source", "replay", "-d")
    assert started.returncode == 0, started.stderr[-5000:]
    status = json.loads(installation.stocks("status", "--json").stdout)
    assert status
    assert installation.stored() == bars_of_the_files()
    traced = json.loads(installation.stocks("trace", "AAPL", "2013-03-01", "--json").stdout)
    assert "answer 'end of file'" in traced["answers"][0]
    [message] = traced["messages"]
    assert (message["start"], message["interval"]) == ("2013-03-01T14:30:00Z", "1d")
    assert message["fate"].startswith("stored: open 438.0, high 438.18")
    assert installation.stocks("down").returncode == 0
    assert installation.processes() == []
