"""Whether the process that executes a run is still alive on this machine."""

import psutil
from dagster import DagsterInstance

from stock_assets.dagster_internals import worker_pid

# A part of the command line of each worker: `stocks up` forks them, Dagster by itself starts them by multiprocessing.
_WORKERS = ("stock_assets.code_server", "multiprocessing")


def worker_is_gone(instance: DagsterInstance, run_id: str) -> bool:
    """Return whether a run's worker process has ended; False where Dagster has not recorded its process id.

    Another program may have got its id. It is told by its command line, not by its age: where the clock is set, ages
    say nothing. If that program is the worker of another run, this one counts as alive until its heartbeat is too old.
    """
    pid = worker_pid(instance, run_id)
    if pid is None:
        return False
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:  # of another user, as no worker is
        return True
    return not any(word in command for word in _WORKERS)
