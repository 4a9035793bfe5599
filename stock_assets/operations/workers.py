"""Whether the process that executes a run is still alive on this machine."""

import time

import psutil
from dagster import DagsterInstance

from spark_streaming.contract.clock import now
from stock_assets.dagster_internals import worker_process

_CLOCK_SECONDS = 2.0  # how much the age of a process and that of Dagster's event may differ: they come from two clocks


def worker_is_gone(instance: DagsterInstance, run_id: str) -> bool:
    """Return whether a run's worker process has ended; False where Dagster has not recorded its process id."""
    worker = worker_process(instance, run_id)
    if worker is None:
        return False
    pid, recorded_at = worker
    try:
        # A process that is younger than the record belongs to another program, which got the same id.
        return _age(psutil.Process(pid)) < (now() - recorded_at).total_seconds() - _CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return True


def _age(process: psutil.Process) -> float:
    """Seconds since a process was started; on Linux by the boot clock, which can't be set."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - (process.create_time() - psutil.boot_time())
    return time.time() - process.create_time()
