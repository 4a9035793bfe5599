"""Whatever is killed: without a hand, one run of each role lives soon, and no bar is lost.

One platform with the simulated source for all of it; each test begins with what the one before has left.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from shutil import rmtree

import dagster as dg
import psutil
import pytest
import requests
from dagster import DagsterRunStatus, RunsFilter
from influxdb_client.client.influxdb_client import InfluxDBClient

from spark_streaming.contract import heartbeat, process_lock
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState
from stock_assets.operations.roles import JOB_OF, PROGRAM_OF
from stock_assets.operations.run_records import failure_of
from stock_assets.pipeline.desired_state import Role
from stock_assets_tests.infra.terminal import PORTS, until
from stock_assets_tests.services.fixtures import free_ports, open_folder
from stock_assets_tests.services.inbox import Inbox

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

SYMBOLS = ("AAPL", "MSFT")
PATIENCE_SECONDS = 240  # two minutes are the aim; where other work fills the cores, each start takes longer
START_SECONDS = 300  # of the first runs of all, while everything else starts too
ACTIVE = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@dataclass
class Installation:
    """A running platform, seen as its own sensor sees it."""

    home: Path
    ports: dict[str, str]

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self.ports['DAGSTER_PORT']}"

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home / "dagster"))

    def heartbeat(self, role: Role) -> Heartbeat:
        found = heartbeat.read_heartbeat(self.state(role))
        assert found is not None
        return found

    def state(self, role: Role) -> Path:
        return self.home / "state" / "simulated" / PROGRAM_OF[role]

    def active(self, role: Role) -> list[dg.RunRecord]:
        return list(self.instance.get_run_records(RunsFilter(job_name=JOB_OF[role], statuses=ACTIVE)))

    def live(self) -> dict[Role, str] | None:
        """Role -> its run, where exactly one of each lives, does its work and has caught up; else None."""
        found = {}
        for role in Role:
            runs, beat = self.active(role), heartbeat.read_heartbeat(self.state(role))
            if len(runs) != 1 or beat is None or not process_lock.is_locked(self.state(role)):
                return None
            run_id, now = runs[0].dagster_run.run_id, datetime.now(UTC)
            alive = (
                beat.run_id == run_id
                and beat.state is ProgramState.RUNNING
                and now - beat.written_at < timedelta(seconds=5)
            )
            if not alive or beat.newest_event is None or now - beat.newest_event > timedelta(seconds=10):
                return None
            found[role] = run_id
        return found

    def all_is_well(self) -> dict[Role, str]:
        until(lambda: self.live() is not None, PATIENCE_SECONDS)
        found = self.live()
        assert found is not None
        return found

    def all_is_well_again(self, before: dict[Role, str]) -> dict[Role, str]:
        """Wait until other runs than those of `before` live."""

        def replaced() -> bool:
            found = self.live()
            return found is not None and all(found[role] != run_id for role, run_id in before.items())

        until(replaced, PATIENCE_SECONDS)
        return self.all_is_well()

    def has_ended(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    def reason(self, run_id: str) -> str:
        """Why a run has failed; it has."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is DagsterRunStatus.FAILURE
        return failure_of(self.instance, run_id)

    def service(self, command: str) -> psutil.Process | None:
        """The process of a service, not the guard above it; None while it doesn't run."""
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                if command in line and process.environ().get("STOCKS_HOME") == str(self.home):
                    return process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return None

    def kill_service(self, command: str) -> None:
        """Kill it, and wait until the supervisor has started it again."""
        killed = self.service(command)
        assert killed is not None
        killed.kill()
        until(lambda: (again := self.service(command)) is not None and again.pid != killed.pid, PATIENCE_SECONDS)

    def graphql(self, query: str) -> dict[str, object]:
        answer = requests.post(f"{self.ui}/graphql", json={"query": query}, timeout=60).json()
        assert "errors" not in answer, answer
        data: dict[str, object] = answer["data"]
        return data

    def seconds_stored(self) -> dict[str, set[datetime]]:
        token = (self.home / "secrets" / "simulated" / "influx_read_token").read_text().strip()
        flux = (
            'from(bucket: "stock-prices-simulated") |> range(start: 0) |> filter(fn: (r) => '
            'r._measurement == "stock-price-v1" and r._field == "close")'
        )
        found: dict[str, set[datetime]] = {}
        url = f"http://127.0.0.1:{self.ports['INFLUXDB_PORT']}"
        with InfluxDBClient(url=url, token=token, org="stocks", timeout=60_000) as client:
            for record in client.query_api().query_stream(flux):
                found.setdefault(record.values["symbol"], set()).add(record.get_time())
        return found


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture(scope="module")
def platform(inbox: Inbox) -> Iterator[Installation]:
    home = open_folder()
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    environment = os.environ | {"STOCKS_HOME": str(home), "NOTIFY_URLS": inbox.url} | ports
    environment.pop("INFLUXDB_URL", None)

    def stocks(*words: str) -> None:
        command = [sys.executable, "-m", "infra.cli.main", *words]
        done = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr[-5000:]

    stocks("up", "--source", "simulated", "--symbols", ",".join(SYMBOLS), "-d")
    made = Installation(home, ports)
    until(lambda: made.live() is not None, START_SECONDS)
    try:
        yield made
        made.instance.dispose()
    finally:
        stocks("down")
        rmtree(home, ignore_errors=True)


def kill(*pids: int) -> None:
    for pid in pids:
        psutil.Process(pid).kill()


def worker_of(beat: Heartbeat) -> int:
    """The process in which Dagster executes the run, whose child the program is."""
    return psutil.Process(beat.pid).ppid()


def test_a_killed_stream_and_a_killed_run_worker_of_the_producer(platform: Installation) -> None:
    before = platform.all_is_well()
    kill(platform.heartbeat(Role.STREAM).pid, worker_of(platform.heartbeat(Role.PRODUCER)))
    after = platform.all_is_well_again(before)
    assert set(after.values()).isdisjoint(before.values())
    assert platform.reason(before[Role.STREAM]) == "spark_streaming was killed by SIGKILL"
    assert "SIGKILL" in platform.reason(before[Role.PRODUCER])


def test_a_killed_producer_and_a_killed_run_worker_of_the_stream(platform: Installation) -> None:
    before = platform.all_is_well()
    kill(platform.heartbeat(Role.PRODUCER).pid, worker_of(platform.heartbeat(Role.STREAM)))
    platform.all_is_well_again(before)
    assert platform.reason(before[Role.PRODUCER]) == "stock_assets.ingest was killed by SIGKILL"
    assert "SIGKILL" in platform.reason(before[Role.STREAM])


def test_a_reload_of_the_location_while_it_streams(platform: Installation) -> None:
    before = platform.all_is_well()
    said = platform.graphql(
        'mutation { reloadRepositoryLocation(repositoryLocationName: "stock_assets") { __typename } }'
    )
    assert said == {"reloadRepositoryLocation": {"__typename": "WorkspaceLocationEntry"}}
    assert platform.all_is_well() == before


def test_two_launches_at_once_of_what_lives_already(platform: Installation) -> None:
    before = platform.all_is_well()
    launch = """mutation { launchRun(executionParams: {selector: {repositoryLocationName: "stock_assets",
        repositoryName: "__repository__", jobName: "stream_prices"}, runConfigData: {}})
        { __typename ... on LaunchRunSuccess { run { runId } } } }"""
    with ThreadPoolExecutor(2) as pool:
        answers = [dict(answer["launchRun"]) for answer in pool.map(platform.graphql, [launch, launch])]  # type: ignore[call-overload]
    launched = [answer["run"]["runId"] for answer in answers]
    until(lambda: all(platform.has_ended(run_id) for run_id in launched), PATIENCE_SECONDS)
    for run_id in launched:
        assert "another process is at work" in platform.reason(run_id)
    assert platform.all_is_well() == before


def test_a_killed_daemon(platform: Installation) -> None:
    before = platform.all_is_well()
    platform.kill_service("dagster._daemon")
    kill(platform.heartbeat(Role.PRODUCER).pid)  # it is the new daemon that puts this right
    after = platform.all_is_well_again({Role.PRODUCER: before[Role.PRODUCER]})
    assert after[Role.STREAM] == before[Role.STREAM]


def test_a_killed_code_server(platform: Installation) -> None:
    before = platform.all_is_well()
    platform.kill_service("dagster api grpc")
    platform.all_is_well_again(before)
    assert all(platform.reason(run_id) for run_id in before.values())


def test_no_bar_was_lost(platform: Installation) -> None:
    platform.all_is_well()
    stored = platform.seconds_stored()
    assert set(stored) == set(SYMBOLS)
    for seconds in stored.values():
        begin, end = min(seconds), max(seconds)
        assert end - begin > timedelta(minutes=1)
        assert len(seconds) == (end - begin).total_seconds() + 1


def test_people_were_told(platform: Installation, inbox: Inbox) -> None:
    told = [title.removeprefix("stock-assets (simulated): ") for title in inbox.titles]
    assert "stream_prices failed" in told
    assert "publish_prices failed" in told
    assert len(told) == len(set(zip(told, (message["message"] for message in inbox.messages), strict=True)))
