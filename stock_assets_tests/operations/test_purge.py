"""What is deleted of Dagster's history and what stays: a real instance on the real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from infra.settings import StackSettings
from stock_assets.operations.purge import RetentionPeriods, purge
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets_tests.services.dagster_records import record_sensor, record_tick, tick_count

pytestmark = pytest.mark.services

PRICES, SESSIONS = dg.AssetKey(["influxdb", "stock_price_v1"]), dg.AssetKey(["postgres", "session_summary"])
KEEP = RetentionPeriods(runs=timedelta(days=30), verdicts=timedelta(days=3), ticks=timedelta(days=7))


class History:
    """A Dagster instance with runs and evaluations, which `purge` cleans up as if it were days later."""

    def __init__(self, instance: dg.DagsterInstance, settings: CodeLocationSettings) -> None:
        self.instance = instance
        self.engine = make_engine(settings.postgres)

    def run(self, asset: dg.AssetKey, partition: str | None = None, name: str = "makes") -> str:
        """A run that has made an asset."""

        @dg.op
        def make(context: dg.OpExecutionContext) -> None:
            context.log_event(dg.AssetMaterialization(asset, partition=partition))

        @dg.job(name=name)
        def job() -> None:
            make()

        return job.execute_in_process(instance=self.instance).run_id

    def evaluate(self, times: int, check: str = "prices_are_fresh") -> None:
        for _ in range(times):
            self.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(asset_key=PRICES, check_name=check, passed=True)
            )

    def purge(self, days_later: float) -> dict[str, int]:
        return dict(
            purge(self.instance, self.engine, KEEP, datetime.now(UTC) + timedelta(days=days_later), 30, batch=10)
        )

    def count(self, table: str, where: str = "true") -> int:
        with self.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE {where}")).scalar_one())

    def evaluations(self) -> int:
        return self.count("event_logs", "dagster_event_type = 'ASSET_CHECK_EVALUATION'")


@pytest.fixture
def history(postgres_server: StackSettings, instance: dg.DagsterInstance) -> History:
    settings = CodeLocationSettings(stocks_home=postgres_server.stocks_home, source=postgres_server.source)
    upgrade(settings)
    return History(instance, settings)


def test_evaluations_are_deleted_after_three_days_and_the_newest_of_each_check_stays(history: History) -> None:
    history.evaluate(25)
    history.evaluate(3, check="no_dead_letters")
    assert history.purge(2) == {"messages": 0}
    assert history.evaluations() == 28
    assert history.purge(4)["verdicts"] == 26
    assert history.evaluations() == history.count("asset_check_executions") == 2
    key = dg.AssetCheckKey(PRICES, "prices_are_fresh")
    [newest] = history.instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
    assert newest.evaluation is not None
    assert newest.evaluation.passed


def test_old_runs_are_deleted_with_their_events_and_logs(history: History) -> None:
    old, newest = history.run(PRICES), history.run(PRICES)
    logs = Path(history.instance.compute_log_manager._base_dir) / old  # type: ignore[attr-defined]
    assert logs.is_dir()
    assert history.purge(29).get("runs") is None
    assert history.purge(31)["runs"] == 1
    assert not history.instance.has_run(old)
    assert history.count("event_logs", f"run_id = '{old}'") == 0
    assert not logs.exists()
    assert history.instance.has_run(newest)


def test_the_run_that_made_what_a_partition_consists_of_stays(history: History) -> None:
    friday, monday = history.run(SESSIONS, "2026-11-20"), history.run(SESSIONS, "2026-11-23")
    again = history.run(SESSIONS, "2026-11-23")
    assert history.purge(400)["runs"] == 1
    assert [history.instance.has_run(run_id) for run_id in (friday, monday, again)] == [True, False, True]
    assert history.instance.get_materialized_partitions(SESSIONS) == {"2026-11-20", "2026-11-23"}


def test_the_newest_run_of_a_job_stays_however_old_it_is(history: History) -> None:
    other = history.run(PRICES, name="other")
    history.run(PRICES)
    history.purge(400)
    assert history.instance.has_run(other)


def test_old_ticks_are_deleted_and_the_newest_of_each_sensor_stays(history: History) -> None:
    record_sensor(history.instance, "evaluate_checks")
    now = datetime.now(UTC)
    for days_ago in (9, 8, 3, 1):
        record_tick(history.instance, "evaluate_checks", now - timedelta(days=days_ago))
    history.purge(0)
    assert tick_count(history.instance, "evaluate_checks") == 2
    history.purge(100)
    assert tick_count(history.instance, "evaluate_checks") == 1
