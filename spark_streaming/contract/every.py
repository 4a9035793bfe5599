"""Something that is done again and again, from a thread of its own, while a block runs."""

import threading
from collections.abc import Callable
from typing import Self


class Every:
    """Calls `do` after each `seconds`, counted from the end of the call before; when the block has ended, no more."""

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
        while not self._ended.wait(self._seconds):
            self._do()
