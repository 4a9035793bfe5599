"""Shows on stderr what takes longer than two seconds: a live line in a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

QUIET_SECONDS = 2.0


class Step:
    """An operation that is shown while it runs."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.detail = ""


class Progress:
    """A display for steps that run side by side; safe for threads. Use it as a context manager."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._bars: Bars | None = None
        self._shown, self._lock = 0, threading.Lock()
        if self._console.is_terminal:
            self._bars = Bars(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[detail]}", table_column=None),
                console=self._console,
                transient=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._show_bars(-self._shown)

    def line(self, text: str) -> None:
        """Print a line that stays; a closed terminal is ignored."""
        with suppress(OSError):  # the terminal may be closed, which must not keep anything from being stopped
            self._console.print(escape(text))

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Show `what` (such as "building InfluxDB 2.7.12") while the block runs; after a long block also print a line.

        Set `detail` of the step at any time to show the current work.
        """
        step, began, over = Step(what), time.monotonic(), threading.Event()
        shower = threading.Thread(target=self._show, args=(step, over), daemon=True)
        shower.start()
        try:
            yield step
        finally:
            over.set()
            shower.join()
        seconds = time.monotonic() - began
        if seconds > QUIET_SECONDS:
            self.line(f"{what}: done in {_human(seconds)}")

    def _show(self, step: Step, over: threading.Event) -> None:
        if over.wait(QUIET_SECONDS):
            return
        if self._bars is None:
            self.line(f"{step.what} …")
            return
        task = self._bars.add_task(escape(f"{step.what} …"), total=None, detail="")
        self._show_bars(1)
        while not over.wait(0.2):
            self._bars.update(task, detail=escape(step.detail[-80:]))
        self._bars.remove_task(task)
        self._show_bars(-1)

    def _show_bars(self, more: int) -> None:
        """Show the live lines only while there are any: other output would mix with them."""
        if self._bars is None:
            return
        with self._lock, suppress(OSError):  # the terminal may be closed
            before, self._shown = self._shown, self._shown + more
            if self._shown and not before:
                self._bars.start()
            elif before and not self._shown:
                self._bars.stop()


def _human(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
