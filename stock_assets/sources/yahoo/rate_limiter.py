"""How often Yahoo may be asked, and how long it wants to be left alone: one budget and one hold for all programs of a
home. Two pure rules, and the file in which the programs share them."""

import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Event

from spark_streaming.contract.state_file import UNREADABLE, parse_state

LONGEST_HOLD = timedelta(minutes=15)
_FIRST_HOLD = timedelta(seconds=30)
_CATCH_UP_SECONDS = 1.0  # what was not used of the budget since
_PROBE_SECONDS = 2.0  # after a hold, from one request to the next, until one is answered


@dataclass(frozen=True, slots=True)
class RateLimiterState:
    """Times are in seconds since 1970."""

    next_turn: float = 0.0
    held_until: float = 0.0
    refusals: int = 0  # in a row


def take_slot(state: RateLimiterState, now: float, spacing: float) -> tuple[RateLimiterState, float]:
    """Ask for a turn at `now`: the state after it, and the seconds to wait; 0 where the turn is ours.

    `spacing` is the time that the next one has to wait, in seconds.
    """
    wait = max(state.next_turn, state.held_until) - now
    if wait > 0:
        return state, wait
    if state.refusals:
        return replace(state, next_turn=now + max(spacing, _PROBE_SECONDS)), 0.0
    return replace(state, next_turn=max(state.next_turn, now - _CATCH_UP_SECONDS) + spacing), 0.0


def after_rejection(state: RateLimiterState, now: float) -> RateLimiterState:
    """Hold back everything, twice as long each time; what was asked before the hold refuses no second time."""
    if state.held_until > now:
        return state
    hold = min(_FIRST_HOLD * (1 << min(state.refusals, 10)), LONGEST_HOLD)
    return replace(state, refusals=state.refusals + 1, held_until=now + hold.total_seconds())


def after_success(state: RateLimiterState, now: float) -> RateLimiterState:
    """All is well again, unless the request was one from before the hold."""
    return state if state.held_until > now else replace(state, refusals=0)


class RateLimiter:
    """The state of `file`, for as many programs and threads as share it."""

    def __init__(self, file: Path, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self.per_minute = per_minute
        self._file, self._spacing, self._clock = file, 60 / per_minute, clock

    def try_acquire(self, requests: int = 1) -> float:
        """Take a turn for so many requests; the seconds to wait before asking for one again, 0 where it was given."""
        spacing = self._spacing * requests * random.uniform(0.7, 1.3)  # noqa: S311 - no secret
        with self._shared() as (state, write):
            after, wait = take_slot(state, self._clock(), spacing)
            write(after)
        return wait

    def acquire(self, stop: Event, requests: int = 1) -> bool:
        """Wait for a turn and take it; False where `stop` came."""
        while (pause := self.try_acquire(requests)) > 0:
            if stop.wait(pause):
                return False
        return not stop.is_set()

    def back_off(self) -> timedelta:
        """Yahoo wants to be left alone; returns for how long."""
        with self._shared() as (state, write):
            after = after_rejection(state, self._clock())
            write(after)
        return timedelta(seconds=max(after.held_until - self._clock(), 0))

    def report_success(self) -> None:
        """Yahoo has answered."""
        with self._shared() as (state, write):
            write(after_success(state, self._clock()))

    @property
    def is_backing_off(self) -> bool:
        """Whether Yahoo wants to be left alone just now."""
        return self.state.held_until > self._clock()

    @property
    def state(self) -> RateLimiterState:
        """As they are now."""
        with self._shared() as (state, _):
            return state

    @contextmanager
    def _shared(self) -> Iterator[tuple[RateLimiterState, Callable[[RateLimiterState], None]]]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = _read(file, self._file, self._clock())

            def write(after: RateLimiterState) -> None:
                if after != before:
                    os.ftruncate(file, 0)
                    os.pwrite(file, json.dumps(asdict(after)).encode(), 0)

            yield before, write
        finally:
            os.close(file)


def _read(file: int, path: Path, now: float) -> RateLimiterState:
    """What no clock that went back, and no process that was killed over writing, can make endless or unreadable."""
    content = os.pread(file, 1024, 0)
    if not content:  # just made
        return RateLimiterState()
    state = parse_state(content, RateLimiterState, path)
    if state is None:  # a copy is kept; the file itself holds the lock, and is written anew
        path.with_name(path.name + UNREADABLE).write_bytes(content)
        os.ftruncate(file, 0)
        return RateLimiterState()
    longest = LONGEST_HOLD.total_seconds()
    return replace(
        state, next_turn=min(state.next_turn, now + longest), held_until=min(state.held_until, now + longest)
    )
