from datetime import UTC, datetime, timedelta

from stock_assets.pipeline.repair_policy import MOST_ATTEMPTS, decide_repair

NOW = datetime(2026, 11, 20, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def attempt(waiting: int = 1, *, is_active: bool = False, ended: tuple[datetime, ...] = ()) -> int | None:
    return decide_repair(waiting, is_active=is_active, ended=ended, now=NOW).attempt


def test_a_request_is_started_at_once_and_none_starts_nothing() -> None:
    assert attempt() == 1
    assert attempt(0) is None


def test_no_run_is_started_while_one_is_active() -> None:
    assert attempt(is_active=True) is None


def test_a_run_that_ended_without_an_answer_is_started_again_after_a_pause_that_grows() -> None:
    assert attempt(ended=(NOW - MINUTE,)) is None
    assert attempt(ended=(NOW - 2 * MINUTE,)) == 2
    assert attempt(ended=(NOW - 9 * MINUTE, NOW - 3 * MINUTE)) is None
    assert attempt(ended=(NOW - 9 * MINUTE, NOW - 4 * MINUTE)) == 3
    hour_ago = NOW - timedelta(hours=1)
    assert attempt(ended=(hour_ago,) * (MOST_ATTEMPTS - 1)) == MOST_ATTEMPTS  # the pause is an hour at most


def test_it_ends_after_some_attempts_with_a_remedy() -> None:
    decision = decide_repair(2, is_active=False, ended=(NOW - timedelta(days=1),) * MOST_ATTEMPTS, now=NOW)
    assert decision.attempt is None
    assert "run repair_gaps by hand" in decision.reason
