"""Everything that we use of Dagster without its documentation, on the installed Dagster with PostgreSQL.

It fails first when an upgrade of Dagster changes such a thing: the test's name says which.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets import dagster_internals
from stock_assets.dagster_internals import ErrorOrigin, InstigatorTick, RunError
from stock_assets_tests.services.dagster_records import (
    instigator_records,
    raise_interruption,
    record_schedule,
    record_sensor,
    record_tick,
    record_worker,
    tick_count,
)

pytestmark = pytest.mark.services

PRICES, QUOTES = dg.AssetKey("prices"), dg.AssetKey("quotes")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = timedelta(days=1)


def run_of(instance: dg.DagsterInstance, op: dg.OpDefinition) -> str:
    @dg.job
    def job() -> None:
        op()

    return job.execute_in_process(instance=instance, raise_on_error=False).run_id


def waiting_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    @dg.op(pool="writer")
    def write() -> None: ...

    @dg.job
    def job() -> None:
        write()

    return instance.create_run_for_job(job)


def evaluate(instance: dg.DagsterInstance, *passed: bool) -> dg.AssetCheckKey:
    for one in passed:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=PRICES, check_name="are_fresh", passed=one)
        )
    return dg.AssetCheckKey(PRICES, "are_fresh")


@pytest.mark.parametrize("allow", [True, False])
def test_a_step_may_leave_out_an_asset_that_its_program_has_not_reported(
    instance: dg.DagsterInstance, allow: bool
) -> None:
    report = (
        "from dagster_pipes import open_dagster_pipes\n"
        "with open_dagster_pipes() as pipes: pipes.report_asset_materialization(asset_key='prices')"
    )

    @dg.multi_asset(specs=[dg.AssetSpec(PRICES, skippable=True), dg.AssetSpec(QUOTES, skippable=True)])
    def both(context: dg.AssetExecutionContext) -> Iterator[dg.PipesExecutionResult]:
        op = context.op_execution_context
        done = dg.PipesSubprocessClient().run(context=op, command=[sys.executable, "-c", report])
        results = done.get_results(implicit_materializations=False)
        if allow:
            dagster_internals.allow_unreported_assets(op)
        yield from results

    assert dg.materialize([both], instance=instance, raise_on_error=False).success is allow


def test_the_newest_evaluation_of_a_check(instance: dg.DagsterInstance) -> None:
    key = evaluate(instance, True, False)
    never = dg.AssetCheckKey(PRICES, "never_evaluated")
    [(evaluation, at)] = dagster_internals.newest_evaluations(instance, [key, never])
    assert (evaluation.check_name, evaluation.passed) == ("are_fresh", False)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


def test_the_root_cause_of_a_failed_step(instance: dg.DagsterInstance) -> None:
    @dg.op
    def fail() -> None:
        try:
            raise ConnectionError("Kafka does not answer")
        except ConnectionError as error:
            raise ValueError("no offsets") from error

    errors = dagster_internals.run_errors(instance, run_of(instance, fail))
    assert RunError(ErrorOrigin.STEP, "ConnectionError: Kafka does not answer\n") in errors
    assert ErrorOrigin.RUN in {error.origin for error in errors}


def test_the_description_of_a_failure(instance: dg.DagsterInstance) -> None:
    @dg.op
    def fail() -> None:
        raise dg.Failure("no such offset")

    assert RunError(ErrorOrigin.STEP, "no such offset") in dagster_internals.run_errors(
        instance, run_of(instance, fail)
    )


def test_a_step_that_was_interrupted(instance: dg.DagsterInstance) -> None:
    @dg.op
    def interrupt() -> None:
        raise_interruption()

    run_id = run_of(instance, interrupt)
    assert any(error.is_interruption for error in dagster_internals.run_errors(instance, run_id))


def test_the_worker_of_a_run(instance: dg.DagsterInstance) -> None:
    run = waiting_run(instance)
    assert dagster_internals.worker_pid(instance, run.run_id) is None
    record_worker(instance, run, 4321)
    assert dagster_internals.worker_pid(instance, run.run_id) == 4321


def test_a_run_that_is_failed_from_outside_gives_its_pool_slot_back(instance: dg.DagsterInstance) -> None:
    run, storage = waiting_run(instance), instance.event_log_storage
    storage.set_concurrency_slots("writer", 1)
    assert storage.claim_concurrency_slot("writer", run.run_id, "write").is_claimed
    dagster_internals.fail_run(instance, run.run_id, "its process is gone")
    assert storage.get_concurrency_info("writer").active_slot_count == 0
    dagster_internals.fail_run(instance, run.run_id, "again")  # it has ended: nothing happens
    errors = dagster_internals.run_errors(instance, run.run_id)
    assert [error.message for error in errors if error.origin is ErrorOrigin.RUN] == ["its process is gone"]


def test_the_ticks_of_what_is_not_stopped(instance: dg.DagsterInstance) -> None:
    record_sensor(instance, "evaluate_checks")
    record_sensor(instance, "request_repairs", stopped=True)
    record_schedule(instance, "purge_history_schedule")
    for minute, errors in enumerate([(), ("tick failed", "Kafka\ndoes not answer"), ()]):
        record_tick(instance, "evaluate_checks", NOON + timedelta(minutes=minute), errors=errors)
    record_tick(instance, "evaluate_checks", NOON + timedelta(minutes=3), ended=False)
    found = dagster_internals.ticks_of_running(instance)
    assert set(found) == {"sensor:evaluate_checks", "schedule:purge_history_schedule"}
    assert [tick.error for tick in found["sensor:evaluate_checks"]] == ["", "Kafka does not answer", ""]
    one = dagster_internals.ticks_of_running(instance, limit=2, since=NOON + timedelta(minutes=1))
    newest = NOON + timedelta(minutes=2)
    assert one["sensor:evaluate_checks"] == [InstigatorTick(newest, newest + timedelta(seconds=2), "")]


def test_a_renamed_sensor_keeps_its_cursor_and_stays_stopped(instance: dg.DagsterInstance) -> None:
    record_sensor(instance, "old", stopped=True, cursor="{}")
    record_tick(instance, "old", NOON)
    dagster_internals.rename_sensor(instance, "old", "new")
    dagster_internals.rename_sensor(instance, "old", "new")
    assert instigator_records(instance) == {"new": ("SENSOR", "STOPPED", "{}")}


def test_a_schedule_that_replaces_a_sensor_stays_stopped(instance: dg.DagsterInstance) -> None:
    record_sensor(instance, "purge", stopped=True)
    record_sensor(instance, "copy")
    dagster_internals.replace_sensor_by_schedule(instance, "purge", "purge_schedule", "0 * * * *")
    dagster_internals.replace_sensor_by_schedule(instance, "copy", "copy_schedule", "0 * * * *")
    assert instigator_records(instance) == {"purge_schedule": ("SCHEDULE", "STOPPED", None)}


def test_old_ticks_are_deleted_and_the_newest_stays(instance: dg.DagsterInstance) -> None:
    record_sensor(instance, "evaluate_checks")
    for minute in range(3):
        record_tick(instance, "evaluate_checks", NOON + timedelta(minutes=minute))
    dagster_internals.purge_ticks(instance, NOON + timedelta(seconds=1))
    assert tick_count(instance, "evaluate_checks") == 2
    dagster_internals.purge_ticks(instance, NOON + LATER)
    assert tick_count(instance, "evaluate_checks") == 1


def test_old_evaluations_are_deleted_and_the_newest_stays(instance: dg.DagsterInstance) -> None:
    key = evaluate(instance, True, True, False)
    before = datetime.now(UTC) + LATER
    assert [dagster_internals.purge_evaluations(instance, before, batch=1) for _ in range(3)] == [1, 1, 0]
    [left] = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
    assert left.evaluation is not None
    assert not left.evaluation.passed


def test_old_events_without_a_run_are_deleted_and_the_newest_stays(instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        instance.report_runless_asset_event(dg.AssetMaterialization(PRICES))
    before = datetime.now(UTC) + LATER
    assert dagster_internals.purge_runless_events(instance, before, batch=9) == 2
    assert dagster_internals.purge_runless_events(instance, before, batch=9) == 0
    assert instance.get_latest_materialization_event(PRICES) is not None


def test_the_run_of_the_newest_materialization_is_known_and_a_deleted_run_leaves_no_logs(
    instance: dg.DagsterInstance,
) -> None:
    @dg.op
    def make(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetMaterialization(PRICES))

    old, newest = run_of(instance, make), run_of(instance, make)
    assert dagster_internals.runs_of_newest_events(instance) == {newest}
    logs = Path(instance.compute_log_manager._base_dir) / old  # type: ignore[attr-defined]
    assert logs.is_dir()
    dagster_internals.delete_run(instance, old)
    assert not instance.has_run(old)
    assert not logs.exists()


def test_events_elsewhere_than_in_postgresql_are_refused() -> None:
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(TypeError, match="only those in PostgreSQL"):
        dagster_internals.runs_of_newest_events(instance)
