from datetime import UTC, datetime, timedelta

import pytest

from spark_streaming.contract.heartbeat import Heartbeat, ProgramState
from stock_assets.pipeline.desired_state import (
    Action,
    ActiveRun,
    DesiredState,
    ObservedState,
    Role,
    RunDecision,
    backoff,
    reconcile,
)

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
WORK, NO_WORK = DesiredState(True, "work"), DesiredState(False, "no work")


def seconds_ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def heartbeat(run_id: str = "a", age: float = 1, state: ProgramState = ProgramState.RUNNING) -> Heartbeat:
    return Heartbeat(run_id, 1, state, seconds_ago(600), seconds_ago(age))


def actual(
    runs: list[ActiveRun] | None = None,
    locked: bool = False,
    seen: Heartbeat | None = None,
    failures: list[datetime] | None = None,
) -> ObservedState:
    return ObservedState(runs or [], locked, seen, failures or [])


def decide(wanted: DesiredState, there: ObservedState) -> list[RunDecision]:
    return reconcile({Role.STREAM: wanted}, {Role.STREAM: there}, NOW)


def actions(wanted: DesiredState, there: ObservedState) -> list[Action]:
    return [decision.action for decision in decide(wanted, there)]


OLD_RUN = ActiveRun("a", seconds_ago(600))


def test_work_and_no_program_starts_one() -> None:
    assert actions(WORK, actual()) == [Action.START]


def test_a_queued_or_starting_run_counts_as_running() -> None:
    assert actions(WORK, actual([ActiveRun("a", seconds_ago(30))])) == [Action.KEEP]


def test_a_running_program_is_kept() -> None:
    assert actions(WORK, actual([OLD_RUN], locked=True, seen=heartbeat())) == [Action.KEEP]


def test_a_program_that_another_dagster_started_is_kept() -> None:
    assert actions(WORK, actual(locked=True, seen=heartbeat("of another"))) == [Action.KEEP]


def test_no_work_drains_a_running_program() -> None:
    assert actions(NO_WORK, actual([OLD_RUN], locked=True, seen=heartbeat())) == [Action.DRAIN]


def test_no_work_and_no_program_does_nothing() -> None:
    assert actions(NO_WORK, actual()) == [Action.REST]


def test_a_run_whose_program_has_ended_is_failed_and_replaced() -> None:
    decisions = decide(WORK, actual([OLD_RUN], locked=False, seen=heartbeat(age=90)))
    assert [d.action for d in decisions] == [Action.FAIL, Action.START]
    assert decisions[0].run_id == "a"
    assert "14:58:30" in decisions[0].reason


def test_a_run_that_never_got_a_program_is_failed_after_its_start_up() -> None:
    assert actions(WORK, actual([ActiveRun("a", seconds_ago(100))])) == [Action.KEEP]
    assert actions(WORK, actual([ActiveRun("a", seconds_ago(130))])) == [Action.FAIL, Action.START]


def test_a_silent_program_that_holds_the_lock_is_not_failed() -> None:
    assert actions(WORK, actual([OLD_RUN], locked=True, seen=heartbeat(age=500))) == [Action.KEEP]


def test_a_run_that_lost_its_place_to_another_program_is_failed() -> None:
    decisions = decide(WORK, actual([OLD_RUN], locked=True, seen=heartbeat("b")))
    assert [d.action for d in decisions] == [Action.FAIL, Action.KEEP]


def test_the_run_of_a_program_that_has_just_ended_has_time_to_report() -> None:
    assert actions(NO_WORK, actual([OLD_RUN], seen=heartbeat(age=90, state=ProgramState.DONE))) == [Action.KEEP]
    assert actions(NO_WORK, actual([OLD_RUN], seen=heartbeat(age=130, state=ProgramState.DONE))) == [
        Action.FAIL,
        Action.REST,
    ]


def test_a_crash_is_followed_by_a_pause_and_then_by_a_start() -> None:
    assert actions(WORK, actual(failures=[seconds_ago(3)])) == [Action.WAIT]
    assert actions(WORK, actual(failures=[seconds_ago(11)])) == [Action.START]


@pytest.mark.parametrize(("crashes", "seconds"), [(0, 0), (1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (20, 600)])
def test_a_crash_loop_backs_off_to_ten_minutes(crashes: int, seconds: int) -> None:
    assert backoff([seconds_ago(n) for n in range(crashes)], NOW) == timedelta(seconds=seconds)


def test_crashes_of_long_ago_are_forgotten() -> None:
    assert backoff([seconds_ago(3700)], NOW) == timedelta(0)


def test_crashes_in_the_future_after_the_clock_was_set_back_are_ignored() -> None:
    assert actions(WORK, actual(failures=[seconds_ago(-3 * 3600)])) == [Action.START]
    assert actions(WORK, actual(failures=[seconds_ago(-3 * 3600), seconds_ago(3)])) == [Action.WAIT]
    assert actions(WORK, actual(failures=[seconds_ago(-3 * 3600), seconds_ago(11)])) == [Action.START]
    assert actions(WORK, actual(failures=[seconds_ago(-1)])) == [Action.WAIT]  # it failed while this was gathered


def test_a_run_of_yesterday_is_drained_while_there_is_work() -> None:
    yesterday = ActiveRun("a", NOW - timedelta(days=1))
    [decision] = decide(WORK, actual([yesterday], locked=True, seen=heartbeat()))
    assert (decision.action, decision.run_id) == (Action.DRAIN, "a")
    assert "UTC day is over" in decision.reason


def test_a_run_whose_process_has_died_is_failed_at_once() -> None:
    failed_run = ActiveRun("a", seconds_ago(30), worker_is_gone=True)
    assert actions(WORK, actual([failed_run], seen=heartbeat(age=1, state=ProgramState.DONE))) == [
        Action.FAIL,
        Action.START,
    ]
    assert actions(WORK, actual([failed_run], locked=True, seen=heartbeat(age=1))) == [
        Action.KEEP
    ]  # its program still runs
