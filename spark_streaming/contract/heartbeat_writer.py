"""Writes the heartbeat of a long-lived program, from a thread, so that it goes on while the program starts or waits."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from spark_streaming.contract.clock import now
from spark_streaming.contract.heartbeat import FeedHeartbeat, Heartbeat, ProgramState, write_heartbeat
from spark_streaming.contract.periodic import Periodic
from spark_streaming.contract.program_control import drain_is_requested

_HEARTBEAT_SECONDS = 1.0


class HeartbeatWriter:
    """Writes the heartbeat into a program's state folder each second, and at the end how the program has ended."""

    def __init__(
        self,
        folder: Path,
        run_id: str,
        figures: Callable[[], Mapping[str, Any]] = dict,
        on_drain: Callable[[], object] = lambda: None,
    ) -> None:
        """`figures` returns current fields of the heartbeat; `on_drain` is called while a drain request is there."""
        self.quotes: Callable[[], FeedHeartbeat | None] = lambda: None  # the heartbeat of the second feed
        self._folder, self._figures, self._on_drain = folder, figures, on_drain
        moment = now()
        self._heartbeat = Heartbeat(run_id, os.getpid(), ProgramState.STARTING, moment, moment)
        self._writing = threading.Lock()
        self._thread = Periodic(_HEARTBEAT_SECONDS, self._write_and_check, "heartbeat")

    @property
    def heartbeat(self) -> Heartbeat:
        """The heartbeat that was written last."""
        return self._heartbeat

    def __enter__(self) -> Self:
        self._write()
        self._thread.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._thread.__exit__()
        if self._heartbeat.state is ProgramState.FAILED:  # the reason is written already
            return
        if error is not None:
            self.set_state(ProgramState.FAILED, f"{type(error).__name__}: {error}")
        else:
            self.set_state(ProgramState.DONE)

    def set_state(self, state: ProgramState, detail: str = "") -> None:
        """Write at once that the state is now `state`."""
        self.update(state=state, detail=detail)

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - of a heartbeat
        """Write new values of the heartbeat's fields at once."""
        with self._writing:
            self._heartbeat = replace(self._heartbeat, **fields)
        self._write()

    def _write_and_check(self) -> None:
        self._write()
        if drain_is_requested(self._folder):
            self._on_drain()

    def _write(self) -> None:
        with self._writing:
            self._heartbeat = replace(self._heartbeat, written_at=now(), quotes=self.quotes(), **self._figures())
            write_heartbeat(self._folder, self._heartbeat)
