"""After a kill of any process, one run of each role is running again without help, and no bar is lost.

All tests use one platform with the simulated source; each continues with the state that the previous one left.
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
from stock_assets_tests.infra.terminal import PORTS
from stock_assets_tests.services.fixtures import free_ports, open_folder
from stock_assets_tests.services.inbox import Inbox
from stock_assets_tests.services.waiting import until

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

SYMBOLS = ("AAPL", "MSFT")
RECOVERY_SECONDS = 240  # the aim is two minutes; under other load each start takes longer
START_SECONDS = 300  # for the first runs, while everything else starts too
ACTIVE = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@dataclass
class Installation:
    """A running platform, observed as its own sensor observes it."""

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

    def running(self) -> dict[Role, str] | None:
        """Return role -> its run, where exactly one of each is running and has caught up; else None."""
        found = {}
        for role in Role:
            runs, newest = self.active(role), heartbeat.read_heartbeat(self.state(role))
            if len(runs) != 1 or newest is None or not process_lock.is_locked(self.state(role)):
                return None
            run_id, now = runs[0].dagster_run.run_id, datetime.now(UTC)
            alive = (
                newest.run_id == run_id
                and newest.state is ProgramState.RUNNING
                and now - newest.written_at < timedelta(seconds=5)
            )
            if not alive or newest.newest_event is None or now - newest.newest_event > timedelta(seconds=10):
                return None
            found[role] = run_id
        return found

    def wait_until_running(self) -> dict[Role, str]:
        until(lambda: self.running() is not None, RECOVERY_SECONDS)
        found = self.running()
        assert found is not None
        return found

    def wait_until_replaced(self, before: dict[Role, str]) -> dict[Role, str]:
        """Wait until other runs than those of `before` are running."""

        def replaced() -> bool:
            found = self.running()
            return found is not None and all(found[role] != run_id for role, run_id in before.items())

        until(replaced, RECOVERY_SECONDS)
        return self.wait_until_running()

    def has_ended(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    def reason(self, run_id: str) -> str:
        """Return why a run has failed."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is DagsterRunStatus.FAILURE
        return failure_of(self.instance, run_id)

    def service(self, command: str) -> psutil.Process | None:
        """Return the process of a service, not its launcher nor a fork of it; None while it doesn't run."""
        found = {}
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                if command in line and process.environ().get("STOCKS_HOME") == str(self.home):
                    found[process.pid] = process.ppid()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return next((psutil.Process(pid) for pid, parent in found.items() if parent not in found), None)

    def kill_service(self, command: str) -> None:
        """Kill a service, and wait until the supervisor has started it again."""
        killed = self.service(command)
        assert killed is not None
        killed.kill()
        until(lambda: (started := self.service(command)) is not None and started.pid != killed.pid, RECOVERY_SECONDS)

    def graphql(self, query: str) -> dict[str, object]:
        response = requests.post(f"{self.ui}/graphql", json={"query": query}, timeout=60).json()
        assert "errors" not in response, response
        data: dict[str, object] = response["data"]
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
    until(lambda: made.running() is not None, START_SECONDS)
    try:
        yield made
        made.instance.dispose()
    finally:
        stocks("down")
        rmtree(home, ignore_errors=True)


def kill(*pids: int) -> None:
    for pid in pids:
        psutil.Process(pid).kill()


def worker_of(newest: Heartbeat) -> int:
    """Return the process in which Dagster executes the run: the parent of the program."""
    return psutil.Process(newest.pid).ppid()


def test_a_killed_stream_and_a_killed_run_worker_of_the_producer(platform: Installation) -> None:
    before = platform.wait_until_running()
    kill(platform.heartbeat(Role.STREAM).pid, worker_of(platform.heartbeat(Role.PRODUCER)))
    after = platform.wait_until_replaced(before)
    assert set(after.values()).isdisjoint(before.values())
    assert platform.reason(before[Role.STREAM]) == "spark_streaming was killed by SIGKILL"
    assert "SIGKILL" in platform.reason(before[Role.PRODUCER])


def test_a_killed_producer_and_a_killed_run_worker_of_the_stream(platform: Installation) -> None:
    before = platform.wait_until_running()
    kill(platform.heartbeat(Role.PRODUCER).pid, worker_of(platform.heartbeat(Role.STREAM)))
    platform.wait_until_replaced(before)
    assert platform.reason(before[Role.PRODUCER]) == "stock_assets.ingest was killed by SIGKILL"
    assert "SIGKILL" in platform.reason(before[Role.STREAM])


def test_a_reload_of_the_location_while_it_streams(platform: Installation) -> None:
    before = platform.wait_until_running()
    result = platform.graphql(
        'mutation { reloadRepositoryLocation(repositoryLocationName: "stock_assets") { __typename } }'
    )
    assert result == {"reloadRepositoryLocation": {"__typename": "WorkspaceLocationEntry"}}
    assert platform.wait_until_running() == before


def test_two_concurrent_launches_of_a_running_program_are_refused(platform: Installation) -> None:
    before = platform.wait_until_running()
    launch = """mutation { launchRun(executionParams: {selector: {repositoryLocationName: "stock_assets",
        repositoryName: "__repository__", jobName: "stream_prices"}, runConfigData: {}})
        { __typename ... on LaunchRunSuccess { run { runId } } } }"""
    with ThreadPoolExecutor(2) as pool:
        answers = [dict(answer["launchRun"]) for answer in pool.map(platform.graphql, [launch, launch])]  # type: ignore[call-overload]
    launched = [answer["run"]["runId"] for answer in answers]
    until(lambda: all(platform.has_ended(run_id) for run_id in launched), RECOVERY_SECONDS)
    for run_id in launched:
        assert "another process is at work" in platform.reason(run_id)
    assert platform.wait_until_running() == before


def test_a_killed_daemon(platform: Installation) -> None:
    before = platform.wait_until_running()
    platform.kill_service("dagster._daemon")
    kill(platform.heartbeat(Role.PRODUCER).pid)  # the new daemon has to start it again
    after = platform.wait_until_replaced({Role.PRODUCER: before[Role.PRODUCER]})
    assert after[Role.STREAM] == before[Role.STREAM]


def test_a_killed_code_server(platform: Installation) -> None:
    before = platform.wait_until_running()
    platform.kill_service("stock_assets.code_server")
    platform.wait_until_replaced(before)
    assert all(platform.reason(run_id) for run_id in before.values())


def test_no_bar_was_lost(platform: Installation) -> None:
    platform.wait_until_running()
    stored = platform.seconds_stored()
    assert set(stored) == set(SYMBOLS)
    for seconds in stored.values():
        begin, end = min(seconds), max(seconds)
        assert end - begin > timedelta(minutes=1)
        assert len(seconds) == (end - begin).total_seconds() + 1


def test_failures_were_notified_once(platform: Installation, inbox: Inbox) -> None:
    titles = [title.removeprefix("stock-assets (simulated): ") for title in inbox.titles]
    assert "stream_prices failed" in titles
    assert "publish_prices failed" in titles
    assert len(titles) == len(set(zip(titles, (message["message"] for message in inbox.messages), strict=True)))
