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


def test_turns_are_spread_over_the_minute() -> None:
    state, wait = take_slot(RateLimiterState(next_turn=NOON), NOON, spacing=0.5)
    assert wait == 0
    state, wait = take_slot(state, NOON + 0.2, spacing=0.5)
    assert wait == pytest.approx(0.3)
    _, wait = take_slot(state, NOON + 0.5, spacing=0.5)
    assert wait == 0


def test_an_idle_hour_is_not_made_up_for() -> None:
    state, given = RateLimiterState(next_turn=NOON - 3600), 0
    while (took := take_slot(state, NOON, spacing=0.25))[1] == 0:
        state, given = took[0], given + 1
    assert given == 5  # what a second and this moment have


def test_a_refusal_holds_back_everything_and_each_more_one_longer() -> None:
    state, holds, now = RateLimiterState(), [], NOON
    for _ in range(7):
        state = after_rejection(state, now)
        holds.append(round(state.held_until - now))
        now = state.held_until
    assert holds == [30, 60, 120, 240, 480, 900, 900]


def test_what_was_asked_before_a_hold_refuses_no_second_time_and_lifts_nothing() -> None:
    held = after_rejection(RateLimiterState(), NOON)
    assert after_rejection(held, NOON + 1) == held
    assert after_success(held, NOON + 1) == held


def test_after_a_hold_it_is_tried_slowly_until_one_is_answered() -> None:
    state = after_rejection(RateLimiterState(), NOON)
    state, wait = take_slot(state, NOON + 30, spacing=0.01)
    assert wait == 0
    assert take_slot(state, NOON + 30.1, spacing=0.01)[1] == pytest.approx(1.9)
    state = after_success(state, NOON + 31)
    assert state.refusals == 0


def test_a_hold_of_one_program_holds_back_the_other(tmp_path: Path) -> None:
    producer, companies = (RateLimiter(tmp_path / "state" / "state.json", per_minute=6_000) for _ in range(2))
    assert producer.try_acquire() == 0
    producer.back_off()
    assert companies.try_acquire() > 29
    stop = Event()
    stop.set()
    assert not companies.acquire(stop)


def test_programs_share_one_budget(tmp_path: Path) -> None:
    file, seconds = tmp_path / "state.json", 2.0
    RateLimiter(file, per_minute=1_200).try_acquire()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        began = time.monotonic()
        counts = pool.starmap(_turns_within, [(file, seconds)] * 2)
        took = time.monotonic() - began
    # 20 a second, some 30 % more or less at random, and a second's worth at the start.
    assert 10 < sum(counts) <= 20 / 0.7 * (took + 1)


def _turns_within(file: Path, seconds: float) -> int:
    rate_limiter, end, given = RateLimiter(file, per_minute=1_200), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        pause = rate_limiter.try_acquire()
        given += pause == 0
        time.sleep(pause)
    return given


@pytest.mark.parametrize("left", [b"", b'{"next_turn": 12', b"[]", b'{"next_turn": 9e99, "held_until": 9e99}'])
def test_a_broken_file_holds_nobody_for_ever(tmp_path: Path, left: bytes) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(left)
    assert RateLimiter(file, per_minute=60).try_acquire() <= 15 * 60
