"""How the program lives: one at a time, seen from outside, ended by signals between two batches."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from spark_streaming.contract.lifecycle import FeedBeat, Heartbeat, State, now, write_heartbeat
from spark_streaming.progress import Totals

_BEAT_SECONDS = 1.0


class Pulse:
    """Writes the heartbeat from a thread of its own, so that it goes on while Spark starts or a batch waits."""

    def __init__(self, folder: Path, run_id: str, pid: int, totals: Totals) -> None:
        self._folder = folder
        self._run_id = run_id
        self._pid = pid
        self._totals = totals
        self._started_at = now()
        self._state = State.STARTING
        self._detail = "Spark is starting"
        self._writing = threading.Lock()
        self.quotes: Callable[[], FeedBeat | None] = lambda: None  # what the feed beside tells of itself
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if error is not None:
            self.tell(State.FAILED, str(error))
        else:
            self.tell(State.DONE, "")

    def tell(self, state: State, detail: str) -> None:
        """Write at once that the state is now `state`."""
        self._state, self._detail = state, detail
        self._write()

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            self._write()

    def _write(self) -> None:
        with self._writing:
            heartbeat = Heartbeat(
                run_id=self._run_id,
                pid=self._pid,
                state=self._state,
                started_at=self._started_at,
                written_at=now(),
                detail=self._detail,
                quotes=self.quotes(),
                **self._totals.figures(),
            )
            write_heartbeat(self._folder, heartbeat)


class StopSignals:
    """Remembers that SIGINT or SIGTERM came."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def listen(self) -> None:
        """Take over both signals; to be called again once Spark has started, because pyspark takes SIGINT."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
