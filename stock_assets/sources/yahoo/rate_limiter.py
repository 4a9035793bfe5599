"""How often requests may be sent to Yahoo: one rate limit and one back-off for all programs of a home. Pure rules, and
the file in which the programs share the state."""

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

from spark_streaming.contract.backoff import delay_seconds
from spark_streaming.contract.file_lock import lock, open_lock_file
from spark_streaming.contract.state_file import UNREADABLE, parse_state

LONGEST_HOLD = timedelta(minutes=15)
_FIRST_HOLD = timedelta(seconds=30)
_CATCH_UP_SECONDS = 1.0  # so much unused time may be made up for
_PROBE_SECONDS = 2.0  # between requests after a back-off, until one succeeds


@dataclass(frozen=True, slots=True)
class RateLimiterState:
    """Times are in seconds since 1970."""

    next_turn: float = 0.0
    held_until: float = 0.0
    refusals: int = 0  # in a row


def take_slot(state: RateLimiterState, now: float, spacing: float) -> tuple[RateLimiterState, float]:
    """Ask for a slot at `now`: the state after it, and the seconds to wait; 0 where the slot is taken.

    `spacing` is the time in seconds until the next slot.
    """
    wait = max(state.next_turn, state.held_until) - now
    if wait > 0:
        return state, wait
    if state.refusals:
        return replace(state, next_turn=now + max(spacing, _PROBE_SECONDS)), 0.0
    return replace(state, next_turn=max(state.next_turn, now - _CATCH_UP_SECONDS) + spacing), 0.0


def after_rejection(state: RateLimiterState, now: float) -> RateLimiterState:
    """Back off, twice as long each time; the rejection of a request from before the back-off doesn't count again."""
    if state.held_until > now:
        return state
    refusals = state.refusals + 1
    hold = delay_seconds(refusals, _FIRST_HOLD.total_seconds(), LONGEST_HOLD.total_seconds())
    return replace(state, refusals=refusals, held_until=now + hold)


def after_success(state: RateLimiterState, now: float) -> RateLimiterState:
    """End the row of rejections, unless the request was one from before the back-off."""
    return state if state.held_until > now else replace(state, refusals=0)


class RateLimiter:
    """Shares its state through a file with all programs and threads that use the same file."""

    def __init__(self, file: Path, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self.per_minute = per_minute
        self._file, self._spacing, self._clock = file, 60 / per_minute, clock

    def try_acquire(self, requests: int = 1) -> float:
        """Take a slot for so many requests; the seconds to wait before the next try, 0 where it was taken."""
        spacing = self._spacing * requests * random.uniform(0.7, 1.3)  # noqa: S311 - no secret
        with self._shared() as (state, write):
            after, wait = take_slot(state, self._clock(), spacing)
            write(after)
        return wait

    def acquire(self, stop: Event, requests: int = 1) -> bool:
        """Wait for a slot and take it; False where `stop` was set first."""
        while (pause := self.try_acquire(requests)) > 0:
            if stop.wait(pause):
                return False
        return not stop.is_set()

    def back_off(self) -> timedelta:
        """Yahoo has rejected a request with 429: returns how long no program sends another."""
        with self._shared() as (state, write):
            after = after_rejection(state, self._clock())
            write(after)
        return timedelta(seconds=max(after.held_until - self._clock(), 0))

    def report_success(self) -> None:
        """Yahoo has given a usable answer."""
        with self._shared() as (state, write):
            write(after_success(state, self._clock()))

    @property
    def is_backing_off(self) -> bool:
        """Whether no request may be sent now."""
        return self.state.held_until > self._clock()

    @property
    def state(self) -> RateLimiterState:
        """The shared state as it is now."""
        with self._shared() as (state, _):
            return state

    @contextmanager
    def _shared(self) -> Iterator[tuple[RateLimiterState, Callable[[RateLimiterState], None]]]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with open_lock_file(self._file) as file:
            lock(file)
            before = _read(file, self._file, self._clock())

            def write(after: RateLimiterState) -> None:
                if after != before:
                    os.ftruncate(file, 0)
                    os.pwrite(file, json.dumps(asdict(after)).encode(), 0)

            yield before, write


def _read(file: int, path: Path, now: float) -> RateLimiterState:
    """The state, with no wait longer than the longest back-off: a clock may have been set back. A file that can't be
    read, as after a kill while writing, is an empty state."""
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
