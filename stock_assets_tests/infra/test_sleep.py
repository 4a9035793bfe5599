"""The lid of the laptop: every process of the platform stands still for a while, Dagster and Spark too."""

import json
import time

import psutil
import pytest

from spark_streaming.contract.lifecycle import Heartbeat, read_heartbeat
from stock_assets_tests.infra.terminal import Terminal, until

BARS = 150  # a second and symbol: some are still to come when the stream has begun
ASLEEP_SECONDS = 15


@pytest.mark.services
def test_a_sleep_loses_no_bar(terminal: Terminal) -> None:
    process = terminal.start("up", "--source", "simulated", "--symbols", "A,B", "--bars", str(BARS), "--once", "--json")

    def heartbeat(program: str) -> Heartbeat | None:
        return read_heartbeat(terminal.home / "state" / "simulated" / program)

    until(lambda: process.poll() is not None or ((beat := heartbeat("stream")) and beat.records), 180)
    assert process.poll() is None
    published = heartbeat("ingest")
    assert published is not None
    assert published.records < 2 * BARS  # the source goes on while we sleep
    everything = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in everything:
        one.suspend()
    time.sleep(ASLEEP_SECONDS)
    for one in everything:
        one.resume()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    books = {row["symbol"]: (row["published"], row["stored"]) for row in json.loads(out)["symbols"]}
    assert books == {"A": (BARS, BARS), "B": (BARS, BARS)}
    assert "died" not in err
