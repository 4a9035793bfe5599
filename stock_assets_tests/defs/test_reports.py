"""What the checks and the runs say, as others than Dagster read it: a real instance, a real PostgreSQL."""

from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from infra.settings import StackSettings
from stock_assets import settings
from stock_assets.definitions import definitions
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.defs.runs.reports import report_what_happens
from stock_assets.market.records import CheckVerdict, PipelineRun
from stock_assets.resources.postgres import PostgresResource
from stock_assets.store.migrate import upgrade
from stock_assets.store.records import read_runs, read_verdicts

pytestmark = pytest.mark.services


class Reports:
    """A Dagster instance of a test's own, and the tables that are filled from it."""

    def __init__(self) -> None:
        self.postgres = PostgresResource.of(settings.code_location())
        self.engine: Engine = self.postgres.engine
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        upgrade(settings.code_location())
        with self.engine.begin() as connection:
            connection.execute(text("TRUNCATE check_verdict, pipeline_run"))

    def tick(self) -> None:
        context = dg.build_sensor_context(instance=self.instance, definitions=definitions(), cursor=self.cursor)
        report_what_happens(context, postgres=self.postgres)
        self.cursor = context.cursor

    def judge(self, passed: bool, late: list[str]) -> None:
        table = [dg.TableRecord({"symbol": symbol}) for symbol in late]
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=MEASUREMENT_KEY,
                check_name="prices_are_fresh",
                passed=passed,
                description=f"{len(late)} late",
                metadata={"details": dg.MetadataValue.table(table)} if table else {},
            )
        )

    def verdict(self) -> CheckVerdict:
        self.tick()
        return read_verdicts(self.engine)["prices_are_fresh"]

    def run(self, run_id: str) -> PipelineRun:
        self.tick()
        return read_runs(self.engine)[run_id]


@pytest.fixture
def reports(postgres_server: StackSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reports]:
    monkeypatch.setenv("STOCKS_HOME", str(postgres_server.stocks_home))
    settings.code_location.cache_clear()
    made = Reports()
    yield made
    made.engine.dispose()
    settings.code_location.cache_clear()


def test_the_newest_verdict_is_there_with_its_numbers_and_since_when_it_holds(reports: Reports) -> None:
    reports.judge(False, ["AAPL"])
    first = reports.verdict()
    assert (first.asset, first.passed, first.summary) == ("influxdb/stock_price_v1", False, "1 late")
    assert first.rows == [{"symbol": "AAPL"}]
    reports.judge(False, ["AAPL", "IBM"])
    still = reports.verdict()
    assert (still.summary, still.since) == ("2 late", first.since)
    assert still.judged_at > first.judged_at
    reports.judge(True, [])
    over = reports.verdict()
    assert (over.passed, over.since, over.rows) == (True, over.judged_at, [])


def test_a_run_is_followed_from_its_start_to_the_reason_of_its_failure(reports: Reports) -> None:
    job = definitions().resolve_job_def("stream_prices")
    run = reports.instance.create_run_for_job(job, tags={"stocks/reason": "5 messages are not stored yet"})
    queued = reports.run(run.run_id)
    assert (queued.role, queued.job, queued.summary) == ("stream", "stream_prices", "5 messages are not stored yet")
    reports.instance.report_run_failed(run, "the stream of this run is gone without a word")
    failed = reports.run(run.run_id)
    assert (failed.status, failed.summary) == ("FAILURE", "the stream of this run is gone without a word")
    assert failed.ended_at is not None


def test_a_run_that_a_person_has_deleted_while_it_was_queued_does_not_stay(reports: Reports) -> None:
    run = reports.instance.create_run_for_job(definitions().resolve_job_def("stream_prices"))
    reports.run(run.run_id)
    reports.instance.delete_run(run.run_id)
    reports.tick()
    assert run.run_id not in read_runs(reports.engine)


def test_the_error_of_a_step_is_the_reason(reports: Reports) -> None:
    @dg.op
    def fail() -> None:
        raise ValueError("Kafka at 127.0.0.1:1\ndoes not answer")

    @dg.job
    def failing() -> None:
        fail()

    result = failing.execute_in_process(instance=reports.instance, raise_on_error=False)
    assert reports.run(result.run_id).summary == "ValueError: Kafka at 127.0.0.1:1 does not answer"
