"""Ends a long-lived program from outside: a drain request, or the end of its parent."""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def request_drain(folder: Path) -> None:
    """Ask the program of `folder` to do what is left and then to end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "drain").touch()


def drain_is_requested(folder: Path) -> bool:
    """Return whether the program of `folder` is requested to end once nothing is left to do."""
    return (folder / "drain").exists()


def clear_drain_request(folder: Path) -> None:
    """Remove an earlier request; a program does so when it starts."""
    (folder / "drain").unlink(missing_ok=True)


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when the process `parent`, which started it, has ended.

    Linux only; elsewhere it does nothing, and the sensor ends orphaned programs.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGTERM)
