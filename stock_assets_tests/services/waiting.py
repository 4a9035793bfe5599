"""Waiting for conditions that other threads and processes fulfil."""

from collections.abc import Callable

from tenacity import retry, stop_after_delay, wait_fixed


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.02), reraise=True)
def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; fail after a minute."""
    assert condition()
