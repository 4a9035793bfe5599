import multiprocessing
import time
from pathlib import Path
from threading import Event

import pytest

from stock_assets.sources.yahoo.rate_limiter import (
    RateLimiter,
    RateLimiterState,
    after_rejection,
    after_success,
    take_slot,
)

NOON = 1_800_000_000.0


def test_slots_are_spread_over_the_minute() -> None:
    state, wait = take_slot(RateLimiterState(next_turn=NOON), NOON, spacing=0.5)
    assert wait == 0
    state, wait = take_slot(state, NOON + 0.2, spacing=0.5)
    assert wait == pytest.approx(0.3)
    _, wait = take_slot(state, NOON + 0.5, spacing=0.5)
    assert wait == 0


def test_an_idle_hour_allows_a_burst_of_one_second_only() -> None:
    state, slots = RateLimiterState(next_turn=NOON - 3600), 0
    while (taken := take_slot(state, NOON, spacing=0.25))[1] == 0:
        state, slots = taken[0], slots + 1
    assert slots == 5  # those of one second, and the one at NOON


def test_each_rejection_in_a_row_doubles_the_back_off() -> None:
    state, backoffs, now = RateLimiterState(), [], NOON
    for _ in range(7):
        state = after_rejection(state, now)
        backoffs.append(round(state.held_until - now))
        now = state.held_until
    assert backoffs == [30, 60, 120, 240, 480, 900, 900]


def test_answers_to_requests_from_before_a_back_off_change_nothing() -> None:
    backing_off = after_rejection(RateLimiterState(), NOON)
    assert after_rejection(backing_off, NOON + 1) == backing_off
    assert after_success(backing_off, NOON + 1) == backing_off


def test_after_a_back_off_requests_are_slow_until_one_succeeds() -> None:
    state = after_rejection(RateLimiterState(), NOON)
    state, wait = take_slot(state, NOON + 30, spacing=0.01)
    assert wait == 0
    assert take_slot(state, NOON + 30.1, spacing=0.01)[1] == pytest.approx(1.9)
    state = after_success(state, NOON + 31)
    assert state.refusals == 0


def test_a_back_off_of_one_program_applies_to_the_other(tmp_path: Path) -> None:
    producer, companies = (RateLimiter(tmp_path / "state" / "state.json", per_minute=6_000) for _ in range(2))
    assert producer.try_acquire() == 0
    producer.back_off()
    assert companies.try_acquire() > 29
    stop = Event()
    stop.set()
    assert not companies.acquire(stop)


def test_programs_share_one_rate_limit(tmp_path: Path) -> None:
    file, seconds = tmp_path / "state.json", 2.0
    RateLimiter(file, per_minute=1_200).try_acquire()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        began = time.monotonic()
        counts = pool.starmap(_count_slots, [(file, seconds)] * 2)
        elapsed = time.monotonic() - began
    # 20 slots a second, at random up to 30 % more or less, and a burst of one second at the start.
    assert 10 < sum(counts) <= 20 / 0.7 * (elapsed + 1)


def _count_slots(file: Path, seconds: float) -> int:
    rate_limiter, end, slots = RateLimiter(file, per_minute=1_200), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        pause = rate_limiter.try_acquire()
        slots += pause == 0
        time.sleep(pause)
    return slots


@pytest.mark.parametrize("content", [b"", b'{"next_turn": 12', b"[]", b'{"next_turn": 9e99, "held_until": 9e99}'])
def test_after_a_broken_file_the_wait_is_at_most_the_longest_back_off(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(content)
    assert RateLimiter(file, per_minute=60).try_acquire() <= 15 * 60
