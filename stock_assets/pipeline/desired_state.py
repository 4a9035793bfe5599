"""Compares which programs should run with the runs in Dagster and the processes; decides what to do. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from spark_streaming.contract.backoff import delay_seconds
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState

FIRST_HEARTBEAT_TIMEOUT = timedelta(seconds=120)  # from a run's launch; Spark needs 15-40 s
HEARTBEAT_TIMEOUT = timedelta(seconds=60)  # from the newest heartbeat, before a program counts as gone
RUN_END_TIMEOUT = timedelta(seconds=120)  # from a program's last heartbeat: its run still writes its last events
FIRST_BACKOFF = timedelta(seconds=10)
LONGEST_BACKOFF = timedelta(minutes=10)
FORGET_FAILURES = timedelta(hours=1)
_LONGEST_TICK = timedelta(seconds=60)  # a run may have failed since the tick read `now`
ROLL_OVER_AGE = timedelta(hours=1)  # a run that has just begun doesn't end at midnight


class Role(StrEnum):
    """The long-lived programs."""

    PRODUCER = "producer"
    STREAM = "stream"


class Action(StrEnum):
    """What the sensor does for a role."""

    START = "start"
    KEEP = "keep"
    DRAIN = "drain"  # ask the program to finish what is left and to end
    FAIL = "fail"  # the run's process is gone: mark the run as failed
    WAIT = "wait"
    REST = "rest"  # nothing to do, nothing runs


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Whether a role has work, and which."""

    work: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that Dagster has not ended yet; queued ones count."""

    run_id: str
    launched_at: datetime
    worker_is_gone: bool = False  # its process has died; False while that isn't known


@dataclass(frozen=True, slots=True)
class ObservedState:
    """The observed state of a role: its runs in Dagster, and its process on the machine."""

    runs: Sequence[ActiveRun]
    locked: bool  # a program of this role runs, whoever started it
    heartbeat: Heartbeat | None
    failures: Sequence[datetime]  # when earlier runs failed, newest first


@dataclass(frozen=True, slots=True)
class RunDecision:
    """An action, its reason for people, and the run that it is about."""

    role: Role
    action: Action
    reason: str
    run_id: str = ""


def desired_state(due: bool, producer_lives: bool, lag: int) -> dict[Role, DesiredState]:
    """Decide what should run: the producer while its source is due, the stream while that runs or messages wait."""
    if due or producer_lives:
        stream = DesiredState(True, "the producer is at work")
    elif lag:
        stream = DesiredState(True, f"{lag:,} messages are not stored yet")
    else:
        stream = DesiredState(False, "everything published is stored")
    reason = "the source has bars that are not published" if due else "all that the source has is published"
    return {Role.PRODUCER: DesiredState(due, reason), Role.STREAM: stream}


def reconcile(
    desired_state: Mapping[Role, DesiredState], actual: Mapping[Role, ObservedState], now: datetime
) -> list[RunDecision]:
    """One decision a role, and one more for each run whose process is gone."""
    return [decision for role in desired_state for decision in _decide(role, desired_state[role], actual[role], now)]


def backoff(failures: Sequence[datetime], now: datetime) -> timedelta:
    """Return how long to wait after the newest of `failures`: doubled for each one of the last hour."""
    recent = _recent(failures, now)
    if not recent:
        return timedelta(0)
    seconds = delay_seconds(len(recent), FIRST_BACKOFF.total_seconds(), LONGEST_BACKOFF.total_seconds())
    return timedelta(seconds=seconds)


def _recent(failures: Sequence[datetime], now: datetime) -> list[datetime]:
    """Those of the last hour. Where the clock was set back some lie in the future: these do not count."""
    return [failed for failed in failures if -_LONGEST_TICK < now - failed < FORGET_FAILURES]


def _decide(role: Role, desired_state: DesiredState, actual: ObservedState, now: datetime) -> list[RunDecision]:
    ended = [run for run in actual.runs if _has_ended(run, actual, now)]
    decisions = [
        RunDecision(
            role,
            Action.FAIL,
            f"no report from the {role} of this run since {_last_report(run, actual)}",
            run.run_id,
        )
        for run in ended
    ]
    active = [run for run in actual.runs if run not in ended]
    if active or actual.locked:
        run_id = active[0].run_id if active else ""
        if desired_state.work and actual.locked and any(_rolls_over(run, now) for run in active):
            return [*decisions, RunDecision(role, Action.DRAIN, "its UTC day is over: the next run goes on", run_id)]
        if desired_state.work:
            return [*decisions, RunDecision(role, Action.KEEP, desired_state.reason, run_id)]
        if actual.locked:
            return [*decisions, RunDecision(role, Action.DRAIN, desired_state.reason, run_id)]
        return [*decisions, RunDecision(role, Action.KEEP, "it is starting", run_id)]
    if not desired_state.work:
        return [*decisions, RunDecision(role, Action.REST, desired_state.reason)]
    recent = _recent(actual.failures, now)
    until = max(recent, default=now) + backoff(recent, now)
    if until > now:
        return [
            *decisions,
            RunDecision(
                role, Action.WAIT, f"{len(recent)} failed within the hour; the next try is at {until:%H:%M:%S} UTC"
            ),
        ]
    return [*decisions, RunDecision(role, Action.START, desired_state.reason)]


def _rolls_over(run: ActiveRun, now: datetime) -> bool:
    """Whether a run began on an earlier UTC day: a market that never closes would have a run that never ends."""
    return run.launched_at.date() < now.date() and now - run.launched_at > ROLL_OVER_AGE


def _has_ended(run: ActiveRun, actual: ObservedState, now: datetime) -> bool:
    """Whether no process belongs to a run any more. The lock decides: the kernel releases it with the process."""
    if actual.locked:
        return _is_heartbeat_of(run, actual.heartbeat) is False and now - run.launched_at > FIRST_HEARTBEAT_TIMEOUT
    if run.worker_is_gone:
        return True
    if _is_heartbeat_of(run, actual.heartbeat) and actual.heartbeat is not None:
        is_over = actual.heartbeat.state in (ProgramState.DONE, ProgramState.FAILED)
        return now - actual.heartbeat.written_at > (RUN_END_TIMEOUT if is_over else HEARTBEAT_TIMEOUT)
    return now - run.launched_at > FIRST_HEARTBEAT_TIMEOUT


def _is_heartbeat_of(run: ActiveRun, heartbeat: Heartbeat | None) -> bool:
    return heartbeat is not None and heartbeat.run_id == run.run_id


def _last_report(run: ActiveRun, actual: ObservedState) -> str:
    if actual.heartbeat is not None and _is_heartbeat_of(run, actual.heartbeat):
        return f"{actual.heartbeat.written_at:%H:%M:%S} UTC"
    return f"its launch at {run.launched_at:%H:%M:%S} UTC"
