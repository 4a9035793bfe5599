"""Waiting for conditions that other threads and processes fulfil."""

import inspect
import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 60, interval: float = 0.05) -> None:
    """Wait until `condition` is true; fail after `seconds`, with its source as the name of what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds:g} s still not true: {_text(condition)}")
        time.sleep(interval)


def _text(condition: Callable[[], object]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):  # no function of Python's own, or its file is gone
        return repr(condition)
