"""Whether the worker of a run is alive, with real processes that Dagster has a record of."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from spark_streaming.contract import clock
from stock_assets.definitions import definitions
from stock_assets.operations import workers
from stock_assets_tests.services.dagster_records import record_worker

pytestmark = pytest.mark.services


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(["sleep", "60"])
    yield started
    started.kill()
    started.wait()


@pytest.fixture
def run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(definitions().resolve_job_def("stream_prices"))


def test_a_worker_that_is_alive(
    instance: dg.DagsterInstance, run: dg.DagsterRun, process: subprocess.Popen[bytes]
) -> None:
    assert not workers.worker_is_gone(instance, run.run_id), "its process id is not recorded yet"
    record_worker(instance, run, process.pid)
    assert not workers.worker_is_gone(instance, run.run_id)


def test_a_worker_that_was_killed(
    instance: dg.DagsterInstance, run: dg.DagsterRun, process: subprocess.Popen[bytes]
) -> None:
    record_worker(instance, run, process.pid)
    process.kill()
    process.wait()
    assert workers.worker_is_gone(instance, run.run_id)


def test_a_worker_whose_process_id_another_program_has_now(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    process: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record_worker(instance, run, process.pid)
    in_a_minute = clock.now() + timedelta(minutes=1)
    monkeypatch.setattr(workers, "now", lambda: in_a_minute)  # the process is younger than the record
    assert workers.worker_is_gone(instance, run.run_id)
