from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.incidents.detection import Tick, find_incidents
from stock_assets.incidents.notifications import Incident, Notification, Severity, new_notifications
from stock_assets.pipeline.run_records import CheckVerdict, PipelineRun

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
UI = "http://127.0.0.1:3001"


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def run(began: float, ended: float | None, status: str = "FAILURE", job: str = "stream_prices") -> PipelineRun:
    end = at(ended) if ended is not None else None
    return PipelineRun(f"{job}-{began}", None, job, status, at(began), at(began), end, "Kafka doesn't answer")


def run_incidents(*runs: PipelineRun, minute: float = 0) -> Incident | None:
    found = find_incidents([], runs, {}, UI, at(minute))
    assert len(found) <= 1
    return found[0] if found else None


def verdict(passed: bool, severity: str, rows: int = 0) -> CheckVerdict:
    numbers = [{"late_by": "0:07:00", "symbol": f"S{n}"} for n in range(rows)]
    return CheckVerdict(
        "prices_are_fresh", "influxdb/stock_price_v1", severity, passed, "12 are late", numbers, NOW, NOW
    )


def test_the_incident_of_a_failed_check_has_its_numbers_and_a_link() -> None:
    [incident] = find_incidents([verdict(False, "ERROR", rows=12)], [], {}, UI, NOW)
    assert (incident.title, incident.severity) == ("prices_are_fresh failed", Severity.ERROR)
    assert incident.text.splitlines()[:2] == ["12 are late", "symbol S0, late_by 0:07:00"]
    assert incident.text.endswith("and 2 more")
    assert incident.link == f"{UI}/assets/influxdb/stock_price_v1?view=checks&checkDetail=prices_are_fresh"


def test_a_check_that_warns_is_an_incident_of_that_severity_and_one_that_passed_is_none() -> None:
    [incident] = find_incidents([verdict(False, "WARN")], [], {}, UI, NOW)
    assert (incident.title, incident.severity) == ("prices_are_fresh warns", Severity.WARNING)
    assert find_incidents([verdict(True, "ERROR")], [], {}, UI, NOW) == []


def test_a_failed_run_is_an_incident_until_the_next_one_has_lasted_two_minutes() -> None:
    failed, again = run(-60, 0), run(0.5, None, "STARTED")
    incident = run_incidents(failed, again, minute=1)
    assert incident is not None
    assert (incident.title, incident.since) == ("stream_prices failed", at(0))
    assert incident.text == f"Run {failed.run_id} failed: Kafka doesn't answer"
    assert incident.link == f"{UI}/runs/{failed.run_id}"
    assert run_incidents(failed, again, minute=2.6) is None


def test_a_success_resolves_the_incident_at_once_and_a_canceled_run_does_not() -> None:
    assert run_incidents(run(-60, 0), run(0.5, 1, "SUCCESS"), minute=1) is None
    assert run_incidents(run(-60, 0), run(0.5, 1, "CANCELED"), minute=60) is not None


def test_a_queued_run_does_not_resolve_the_incident() -> None:
    waiting = PipelineRun("q", None, "stream_prices", "QUEUED", at(0.5), None, None, "")
    assert run_incidents(run(-60, 0), waiting, minute=60) is not None


def test_a_second_run_that_the_lock_refused_is_no_incident_while_the_first_goes_on() -> None:
    assert run_incidents(run(-60, None, "STARTED"), run(-1, 0), minute=1) is None


def test_a_success_of_one_job_resolves_no_incident_of_another() -> None:
    found = find_incidents([], [run(-60, 0), run(0.5, 1, "SUCCESS", "publish_prices")], {}, UI, at(2))
    assert [incident.subject for incident in found] == ["run:stream_prices"]


def test_three_crashes_are_a_crash_loop() -> None:
    two = [run(0, 0.5), run(1, 1.5)]
    incident = run_incidents(*two, minute=2)
    assert incident is not None
    assert not incident.is_worse
    loop = run_incidents(*two, run(2, 2.5), minute=3)
    assert loop is not None
    assert (loop.title, loop.is_worse, loop.since) == ("stream_prices fails again and again", True, at(0.5))
    assert loop.text.startswith("3 runs of stream_prices have failed in a row")


def test_a_crash_loop_ends_after_half_an_hour_without_a_crash() -> None:
    crashes = [run(0, 0.5), run(1, 1.5), run(2, 2.5)]
    assert run_incidents(*crashes, run(3, None, "STARTED"), minute=32) is not None
    assert run_incidents(*crashes, run(3, None, "STARTED"), minute=33) is None


def notified(runs: list[PipelineRun], minutes: int) -> list[str]:
    """The titles of the notifications, where the runs are looked at each minute as they are then."""
    notifications: list[Notification] = []
    for minute in range(minutes):
        seen = [r for r in runs if r.created_at <= at(minute)]
        as_then = [
            r if r.ended_at and r.ended_at <= at(minute) else PipelineRun(r.run_id, None, r.job, "STARTED",
            r.created_at, r.started_at, None, "") for r in seen
        ]  # fmt: skip
        notifications += new_notifications(notifications, find_incidents([], as_then, {}, UI, at(minute)), at(minute))
    return [notification.title for notification in notifications]


def test_a_crash_loop_has_three_notifications_however_long_it_is() -> None:
    crashes = [run(began, began + 1) for began in (0, 2, 4, 8, 14, 25, 36, 47, 58)]
    assert notified([*crashes, run(70, 400, "SUCCESS")], 120) == [
        "stream_prices failed",
        "stream_prices fails again and again",
        "Resolved: stream_prices failed",
    ]


def test_crashes_every_few_minutes_are_a_loop_too() -> None:
    assert notified([run(began, began + 3) for began in range(0, 60, 4)], 60) == [
        "stream_prices failed",
        "Resolved: stream_prices failed",
        "stream_prices failed",
        "Resolved: stream_prices failed",
        "stream_prices fails again and again",
    ]


@pytest.mark.parametrize(
    ("errors", "wrong"), [(["x"], False), (["x", "x"], False), (["x"] * 7, True), (["", "x"], False)]
)
def test_a_sensor_whose_ticks_fail_for_a_minute_is_an_incident(errors: list[str], wrong: bool) -> None:
    ticks = [Tick(NOW - timedelta(seconds=10 * number), error) for number, error in enumerate(errors)]
    found = find_incidents([], [], {"sensor:evaluate_checks": ticks}, UI, NOW)
    assert [incident.title for incident in found] == (["evaluate_checks keeps failing"] if wrong else [])
    if wrong:
        assert found[0].since == ticks[-1].at
