"""Whether the process in which Dagster executes a run still lives, on this machine."""

import psutil
from dagster import DagsterEventType, DagsterInstance

_CLOCK_SECONDS = 2.0  # a process's begin is known to a hundredth of a second, by a clock that may have been set since


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
        return psutil.Process(int(pid)).create_time() > at + _CLOCK_SECONDS  # the number is another program's now
    except psutil.NoSuchProcess:
        return True
