import multiprocessing
import time
from pathlib import Path
from threading import Event

import pytest

from stock_assets.sources.manners import Manners, Turns, answer, refuse, take

NOON = 1_800_000_000.0


def test_turns_are_spread_over_the_minute() -> None:
    turns, wait = take(Turns(next_turn=NOON), NOON, spacing=0.5)
    assert wait == 0
    turns, wait = take(turns, NOON + 0.2, spacing=0.5)
    assert wait == pytest.approx(0.3)
    _, wait = take(turns, NOON + 0.5, spacing=0.5)
    assert wait == 0


def test_an_idle_hour_is_not_made_up_for() -> None:
    turns, given = Turns(next_turn=NOON - 3600), 0
    while (took := take(turns, NOON, spacing=0.25))[1] == 0:
        turns, given = took[0], given + 1
    assert given == 5  # what a second and this moment have


def test_a_refusal_holds_back_everything_and_each_more_one_longer() -> None:
    turns, holds, now = Turns(), [], NOON
    for _ in range(7):
        turns = refuse(turns, now)
        holds.append(round(turns.held_until - now))
        now = turns.held_until
    assert holds == [30, 60, 120, 240, 480, 900, 900]


def test_what_was_asked_before_a_hold_refuses_no_second_time_and_lifts_nothing() -> None:
    held = refuse(Turns(), NOON)
    assert refuse(held, NOON + 1) == held
    assert answer(held, NOON + 1) == held


def test_after_a_hold_it_is_tried_slowly_until_one_is_answered() -> None:
    turns = refuse(Turns(), NOON)
    turns, wait = take(turns, NOON + 30, spacing=0.01)
    assert wait == 0
    assert take(turns, NOON + 30.1, spacing=0.01)[1] == pytest.approx(1.9)
    turns = answer(turns, NOON + 31)
    assert turns.refusals == 0


def test_a_hold_of_one_program_holds_back_the_other(tmp_path: Path) -> None:
    producer, companies = (Manners(tmp_path / "state" / "turns.json", per_minute=6_000) for _ in range(2))
    assert producer.turn() == 0
    producer.refused()
    assert companies.turn() > 29
    stop = Event()
    stop.set()
    assert not companies.wait(stop)


def test_programs_share_one_budget(tmp_path: Path) -> None:
    file, seconds = tmp_path / "turns.json", 2.0
    Manners(file, per_minute=1_200).turn()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        began = time.monotonic()
        counts = pool.starmap(_turns_within, [(file, seconds)] * 2)
        took = time.monotonic() - began
    # 20 a second, some 30 % more or less at random, and a second's worth at the start.
    assert 10 < sum(counts) <= 20 / 0.7 * (took + 1)


def _turns_within(file: Path, seconds: float) -> int:
    manners, end, given = Manners(file, per_minute=1_200), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        pause = manners.turn()
        given += pause == 0
        time.sleep(pause)
    return given


@pytest.mark.parametrize("left", [b"", b'{"next_turn": 12', b"[]", b'{"next_turn": 9e99, "held_until": 9e99}'])
def test_a_broken_file_holds_nobody_for_ever(tmp_path: Path, left: bytes) -> None:
    file = tmp_path / "turns.json"
    file.write_bytes(left)
    assert Manners(file, per_minute=60).turn() <= 15 * 60
