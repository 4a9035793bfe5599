"""Records that Dagster itself would write, made with its storage API."""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.sensor_definition import SensorType
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.utils import make_new_run_id
from dagster_shared.error import SerializableErrorInfo

_REPOSITORY = RemoteRepositoryOrigin(
    GrpcServerCodeLocationOrigin("127.0.0.1", 3002, location_name="stock_assets"), "__repository__"
)


def record_sensor(instance: dg.DagsterInstance, name: str, *, stopped: bool = False, cursor: str | None = None) -> None:
    """As the daemon does after a first tick, or the UI when a person stops a sensor."""
    data = SensorInstigatorData(min_interval=30, cursor=cursor, sensor_type=SensorType.STANDARD)
    status = InstigatorStatus.STOPPED if stopped else InstigatorStatus.DECLARED_IN_CODE
    origin = RemoteInstigatorOrigin(_REPOSITORY, name)
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, status, data))


def record_schedule(instance: dg.DagsterInstance, name: str) -> None:
    """As the daemon does when it first sees a schedule."""
    origin = RemoteInstigatorOrigin(_REPOSITORY, name)
    data = ScheduleInstigatorData("0 * * * *", datetime.now(UTC).timestamp())
    instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.DECLARED_IN_CODE, data)
    )


def record_tick(
    instance: dg.DagsterInstance, name: str, at: datetime, *, errors: tuple[str, ...] = (), ended: bool = True
) -> None:
    """A tick of a recorded sensor or schedule; `errors` are the messages of an error and of its causes."""
    state = _state(instance, name)
    cause: SerializableErrorInfo | None = None
    for message in reversed(errors):
        cause = SerializableErrorInfo(message, [], "Error", cause)
    status = TickStatus.FAILURE if errors else TickStatus.SKIPPED if ended else TickStatus.STARTED
    instance.create_tick(
        TickData(
            state.instigator_origin_id,
            state.instigator_name,
            state.instigator_type,
            status,
            at.timestamp(),
            end_timestamp=at.timestamp() + 2 if ended else None,
            error=cause,
            selector_id=state.selector_id,
        )
    )


def tick_count(instance: dg.DagsterInstance, name: str) -> int:
    """How many ticks of a recorded sensor or schedule are kept."""
    state = _state(instance, name)
    return len(instance.get_ticks(state.instigator_origin_id, state.selector_id))


def instigator_records(instance: dg.DagsterInstance) -> dict[str, tuple[str, str, str | None]]:
    """Name -> kind, status and cursor of each sensor and schedule that has a record."""
    return {
        state.instigator_name: (
            state.instigator_type.value,
            state.status.value,
            getattr(state.instigator_data, "cursor", None),
        )
        for state in instance.all_instigator_state()
    }


def record_worker(instance: dg.DagsterInstance, run: dg.DagsterRun, pid: int) -> None:
    """As a run's worker does when it begins."""
    instance.report_engine_event("Started process for run", run, EngineEventData.in_process(pid))


def record_planned_check(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> None:
    """As Dagster does when it makes a run that is going to evaluate the check."""
    planned = AssetCheckEvaluationPlanned(asset_key=key.asset_key, check_name=key.name)
    kind = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value
    event = DagsterEvent(event_type_value=kind, job_name="evaluate", event_specific_data=planned)
    instance.report_dagster_event(event, make_new_run_id())


def raise_interruption() -> None:
    """As Dagster does in a step whose process gets SIGINT."""
    raise DagsterExecutionInterruptedError


def _state(instance: dg.DagsterInstance, name: str) -> InstigatorState:
    return next(state for state in instance.all_instigator_state() if state.instigator_name == name)
