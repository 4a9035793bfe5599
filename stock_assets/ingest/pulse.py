"""The producer's heartbeat, from a thread of its own: it goes on while the source waits for the next bar."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from spark_streaming.contract import lifecycle
from spark_streaming.contract.lifecycle import FeedBeat, Heartbeat, State

_BEAT_SECONDS = 1.0


class Pulse:
    """Writes what the producer does, and looks whether it is asked to end."""

    def __init__(self, folder: Path, run_id: str, stop: threading.Event) -> None:
        """`stop` is set once someone has asked the program of `folder` to end."""
        now = lifecycle.now()
        self._folder, self._stop = folder, stop
        self._heartbeat = Heartbeat(run_id, os.getpid(), State.STARTING, now, now)
        self.quotes: Callable[[], FeedBeat | None] = lambda: None  # what the second worker tells of itself
        self._writing, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def heartbeat(self) -> Heartbeat:
        """What was written last."""
        return self._heartbeat

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._ended.set()
        self._thread.join()
        if error is not None:
            self.tell(State.FAILED, f"{type(error).__name__}: {error}")
        elif self._heartbeat.state is not State.FAILED:
            self.tell(State.DONE)

    def tell(self, state: State, detail: str = "") -> None:
        """Write at once that the state is now `state`."""
        self.count(replace(self._heartbeat, state=state, detail=detail))

    def count(self, newer: Heartbeat) -> None:
        """Write new figures at once."""
        with self._writing:
            self._heartbeat = newer
        self._write()

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            self._write()
            if lifecycle.drain_is_requested(self._folder):
                self._stop.set()

    def _write(self) -> None:
        with self._writing:
            self._heartbeat = replace(self._heartbeat, written_at=lifecycle.now(), quotes=self.quotes())
            lifecycle.write_heartbeat(self._folder, self._heartbeat)
