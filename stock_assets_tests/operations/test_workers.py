"""Whether the worker of a run is alive, with real processes that Dagster has a record of."""

import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import pytest

from spark_streaming.contract import clock
from stock_assets.definitions import definitions
from stock_assets.operations import workers
from stock_assets_tests.services.dagster_records import record_worker

pytestmark = pytest.mark.services


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a worker."""
    started = subprocess.Popen([sys.executable, "-c", "import multiprocessing, time; time.sleep(60)"])
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


def test_a_worker_whose_process_id_another_program_has_now(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        record_worker(instance, run, other.pid)
        assert workers.worker_is_gone(instance, run.run_id)
        other.kill()


def test_a_worker_is_alive_after_the_clock_was_set_forward(
    instance: dg.DagsterInstance, run: dg.DagsterRun, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: clock.now().timestamp() - 36_000)  # the record is ten hours old
    record_worker(instance, run, process.pid)
    monkeypatch.undo()
    assert not workers.worker_is_gone(instance, run.run_id)
