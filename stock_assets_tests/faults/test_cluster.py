"""The same program on a standalone cluster of two workers, one of which is killed in the middle."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyspark
import pytest

from infra.host.ports import accepts_connections
from infra.settings import StackSettings
from spark_streaming.contract.program_control import request_drain
from spark_streaming.contract.schema import SourceNames
from stock_assets_tests.services.fixtures import Bucket, free_ports
from stock_assets_tests.spark_streaming.cases import SENT
from stock_assets_tests.spark_streaming.conftest import Launcher
from stock_assets_tests.spark_streaming.influxdb_points import points_in
from stock_assets_tests.spark_streaming.kafka_messages import bars, everything_in, send

pytestmark = pytest.mark.services

BARS = 12_000
HOME = Path(pyspark.__file__).parent
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Cluster:
    url: str
    workers: list[subprocess.Popen[bytes]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A master and two workers of one core each, from the pyspark wheel."""
    port, *others = free_ports(4)
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
        kept = {one: os.environ[one] for one in ("PATH", "HOME", "JAVA_HOME") if one in os.environ}
        environment = {"SPARK_HOME": str(HOME), "SPARK_LOCAL_IP": HOST, "SPARK_WORKER_DIR": str(tmp_path / "work")}
        with (tmp_path / f"{len(started)}.log").open("wb") as log:
            command = [str(HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *arguments]
            started.append(subprocess.Popen(command, env=kept | environment, stdout=log, stderr=log))
        return started[-1]

    def has(number: int, text: str) -> None:
        end = time.monotonic() + 90
        while text not in (tmp_path / f"{number}.log").read_text():
            assert started[number].poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)

    url = f"spark://{HOST}:{port}"
    try:
        start("master.Master", "--host", HOST, "--port", str(port), "--webui-port", str(others[0]))
        has(0, "New state: ALIVE")
        assert accepts_connections(HOST, port)
        worker = ("worker.Worker", "--host", HOST, "--cores", "1", "--memory", "1g")
        workers = [start(*worker, "--webui-port", str(web), url) for web in others[1:]]
        for number in (1, 2):
            has(number, "Successfully registered with master")
        yield Cluster(url, workers)
    finally:
        for process in reversed(started):
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and its executors, as a machine that is switched off."""
    with suppress(psutil.NoSuchProcess):
        for below in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                below.kill()
    process.kill()
    process.wait()


def test_a_worker_that_is_killed_in_the_middle_costs_no_bar(
    launcher: Launcher, cluster: Cluster, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    send(stack.kafka_address, fresh_topic.topic, bars(BARS), SENT)
    conf = '{"spark.executor.memory": "512m"}'
    stream = launcher.start(
        SPARK_MASTER=cluster.url, SPARK_LOCAL_IP=HOST, SPARK_CONF=conf, MAX_OFFSETS_PER_TRIGGER="500"
    )
    stream.wait_for(lambda program: program.has_stored_something())
    kill(cluster.workers[0])
    before = stream.heartbeat.records
    assert before < BARS, "to be killed in the middle is the point of this test"
    stream.wait_for(lambda program: program.heartbeat.records == BARS and program.heartbeat.lag == 0)
    request_drain(launcher.state)
    assert stream.end() == 0
    assert "Lost executor" in stream.log
    assert {fields["volume"] for fields in points_in(fresh_bucket).values()} == set(range(BARS))
    assert everything_in(stack.kafka_address, fresh_topic.dead_letter_topic) == []
