"""Limits the rate of requests to Yahoo: one rate limit and one back-off for all programs of a home. Pure rules, and the
file in which the programs share the state."""

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

LONGEST_BACKOFF = timedelta(minutes=15)
_FIRST_BACKOFF = timedelta(seconds=30)
_CATCH_UP_SECONDS = 1.0  # of unused time that may be used later, as a burst
_PROBE_SECONDS = 2.0  # between requests after a back-off, until one succeeds


@dataclass(frozen=True, slots=True)
class RateLimiterState:
    """The state of the rate limiter; times are in seconds since 1970. Its fields are those of the JSON file."""

    next_turn: float = 0.0  # the time of the next slot
    held_until: float = 0.0  # the end of the back-off
    refusals: int = 0  # rejections in a row


def take_slot(state: RateLimiterState, now: float, spacing: float) -> tuple[RateLimiterState, float]:
    """Take a slot at `now`; returns the new state, and the seconds to wait where there is no free slot, else 0.

    `spacing` is the time in seconds until the next slot.
    """
    wait = max(state.next_turn, state.held_until) - now
    if wait > 0:
        return state, wait
    if state.refusals:
        return replace(state, next_turn=now + max(spacing, _PROBE_SECONDS)), 0.0
    return replace(state, next_turn=max(state.next_turn, now - _CATCH_UP_SECONDS) + spacing), 0.0


def after_rejection(state: RateLimiterState, now: float) -> RateLimiterState:
    """Back off, each time twice as long. During a back-off the state stays: the request was sent before it."""
    if state.held_until > now:
        return state
    refusals = state.refusals + 1
    backoff = delay_seconds(refusals, _FIRST_BACKOFF.total_seconds(), LONGEST_BACKOFF.total_seconds())
    return replace(state, refusals=refusals, held_until=now + backoff)


def after_success(state: RateLimiterState, now: float) -> RateLimiterState:
    """Reset the number of rejections. During a back-off the state stays: the request was sent before it."""
    return state if state.held_until > now else replace(state, refusals=0)


class RateLimiter:
    """Shares its state through a file with all programs and threads that use the same file."""

    def __init__(self, file: Path, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self.per_minute = per_minute
        self._file, self._spacing, self._clock = file, 60 / per_minute, clock

    def try_acquire(self, requests: int = 1) -> float:
        """Take a slot for `requests` requests; returns 0, or the seconds to wait where there is no free slot."""
        spacing = self._spacing * requests * random.uniform(0.7, 1.3)  # noqa: S311 - no secret
        with self._shared() as (state, write):
            after, wait = take_slot(state, self._clock(), spacing)
            write(after)
        return wait

    def acquire(self, stop: Event, requests: int = 1) -> bool:
        """Wait for a slot and take it; returns False if `stop` is set."""
        while (pause := self.try_acquire(requests)) > 0:
            if stop.wait(pause):
                return False
        return not stop.is_set()

    def back_off(self) -> timedelta:
        """Back off after Yahoo has rejected a request with status 429; returns how long no program sends a request."""
        with self._shared() as (state, write):
            after = after_rejection(state, self._clock())
            write(after)
        return timedelta(seconds=max(after.held_until - self._clock(), 0))

    def report_success(self) -> None:
        """Record that Yahoo has given a usable answer."""
        with self._shared() as (state, write):
            write(after_success(state, self._clock()))

    @property
    def is_backing_off(self) -> bool:
        """Whether a back-off is under way, in which no request may be sent."""
        return self.state.held_until > self._clock()

    @property
    def state(self) -> RateLimiterState:
        """The current shared state."""
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
    """The state in the file; no wait is longer than the longest back-off, because a clock may have been set back. A
    file that can't be parsed, as after a kill while writing, counts as an empty state."""
    content = os.pread(file, 1024, 0)
    if not content:  # a new file
        return RateLimiterState()
    state = parse_state(content, RateLimiterState, path)
    if state is None:  # keep a copy; the file itself holds the lock and is emptied
        path.with_name(path.name + UNREADABLE).write_bytes(content)
        os.ftruncate(file, 0)
        return RateLimiterState()
    longest = LONGEST_BACKOFF.total_seconds()
    return replace(
        state, next_turn=min(state.next_turn, now + longest), held_until=min(state.held_until, now + longest)
    )
