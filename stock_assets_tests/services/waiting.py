"""Waiting for what happens in other threads and processes."""

from collections.abc import Callable

from tenacity import retry, stop_after_delay, wait_fixed


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.02), reraise=True)
def eventually(condition: Callable[[], bool]) -> None:
    """Until `condition` holds; fails where it doesn't within a minute."""
    assert condition()
