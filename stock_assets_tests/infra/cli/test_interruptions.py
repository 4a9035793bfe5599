"""The whole platform, Dagster and Spark too, put to sleep or killed while bars are on their way."""

import json
import time
from contextlib import suppress

import psutil
import pytest

from spark_streaming.contract.heartbeat import Heartbeat, read_heartbeat
from stock_assets_tests.infra.terminal import Terminal, all_gone
from stock_assets_tests.services.waiting import until

pytestmark = pytest.mark.services

BARS = 100  # one a second and symbol: some are still to come when the stream has begun
ASLEEP_SECONDS = 15


def heartbeat(terminal: Terminal, source: str, program: str) -> Heartbeat | None:
    return read_heartbeat(terminal.home / "state" / source / program)


def test_a_sleep_loses_no_bar(terminal: Terminal) -> None:
    process = terminal.start("up", "--source", "simulated", "--symbols", "A,B", "--bars", str(BARS), "--once", "--json")

    def has_stored() -> bool:
        written = heartbeat(terminal, "simulated", "stream")
        return process.poll() is not None or (written is not None and written.records > 0)

    until(has_stored, 180)
    assert process.poll() is None
    published = heartbeat(terminal, "simulated", "ingest")
    assert published is not None
    assert published.records < 2 * BARS  # the source goes on while we sleep
    everything = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    try:
        for one in everything:
            with suppress(psutil.NoSuchProcess):  # some, as PostgreSQL's for one connection, live for an instant
                one.suspend()
        time.sleep(ASLEEP_SECONDS)
    finally:  # what is asleep can't be ended either
        for one in everything:
            with suppress(psutil.NoSuchProcess):
                one.resume()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    books = {row["symbol"]: (row["published"], row["stored"]) for row in json.loads(out)["symbols"]}
    assert books == {"A": (BARS, BARS), "B": (BARS, BARS)}
    assert "died" not in err


def test_what_is_killed_in_the_middle_is_recovered_by_the_next_start(terminal: Terminal) -> None:
    killed = terminal.start("up", "--source", "replay")

    def publishes() -> bool:
        written = heartbeat(terminal, "replay", "ingest")
        return killed.poll() is not None or (written is not None and written.records > 0)

    until(publishes, 180)
    everything = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()
    process = terminal.start("up", "--source", "replay", "--once", "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    all_gone(everything, 0)
    books = json.loads(out)["symbols"]
    assert sum(row["published"] for row in books) == 12_154
    assert all(row["stored"] == row["published"] for row in books)
