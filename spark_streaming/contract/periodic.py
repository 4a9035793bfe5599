"""Calls a function periodically, from a separate thread, while a block runs."""

import logging
import threading
from collections.abc import Callable
from typing import Self

log = logging.getLogger(__name__)


class Periodic:
    """Calls `do` each `seconds`, counted from the end of the call before, until the block ends.

    An error is logged, once as long as it stays the same, and `do` is called again: a disk that was full must not
    end the heartbeat of a program that goes on.
    """

    def __init__(self, seconds: float, do: Callable[[], object], name: str) -> None:
        """`name` is the thread's."""
        self._seconds, self._do = seconds, do
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        logged = ""
        while not self._ended.wait(self._seconds):
            try:
                self._do()
            except Exception as error:
                if logged != (logged := f"{type(error).__name__}: {error}"):
                    log.exception("%s has failed, and is tried again each %.0f s", self._thread.name, self._seconds)
            else:
                logged = ""
