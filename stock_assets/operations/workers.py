"""Whether the process in which Dagster executes a run still lives, on this machine."""

import time

import psutil
from dagster import DagsterEventType, DagsterInstance

from spark_streaming.contract.clock import now

_CLOCK_SECONDS = 2.0  # a process's age is known to a hundredth of a second, an event's by the clock on the wall


def worker_is_gone(instance: DagsterInstance, run_id: str) -> bool:
    """Whether a run's process has died; False where Dagster has not told which it is."""
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records
    told = [
        (entry.timestamp, str(event.engine_event_data.metadata["pid"].value))
        for record in records
        if (event := (entry := record.event_log_entry).dagster_event) and "pid" in event.engine_event_data.metadata
    ]
    if not told:
        return False
    at, pid = told[-1]
    try:
        return _age(psutil.Process(int(pid))) < now().timestamp() - at - _CLOCK_SECONDS  # another program's number now
    except psutil.NoSuchProcess:
        return True


def _age(process: psutil.Process) -> float:
    """Seconds since a process was started; on Linux by a clock that is never set, which counts from the boot."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - (process.create_time() - psutil.boot_time())
    return time.time() - process.create_time()
