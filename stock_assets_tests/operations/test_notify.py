"""Verdicts and runs in our tables, and notifications about them: a real instance, PostgreSQL, and Apprise."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from infra.settings import StackSettings
from spark_streaming.contract import clock
from stock_assets import settings
from stock_assets.definitions import definitions
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.defs.programs.sensors import record_and_notify
from stock_assets.operations.delivery import DeliveryError, deliver_due_notifications
from stock_assets.pipeline.run_records import CheckVerdict, PipelineRun
from stock_assets.resources.postgres import PostgresResource
from stock_assets.store.check_verdicts import read_verdicts
from stock_assets.store.migrate import upgrade
from stock_assets.store.notifications import read_notifications
from stock_assets.store.pipeline_runs import read_runs
from stock_assets_tests.services.inbox import Inbox

pytestmark = pytest.mark.services


class Reports:
    """A Dagster instance of a test's own, and the tables that are filled from it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.postgres = PostgresResource.from_settings(settings.code_location())
        self.engine: Engine = self.postgres.engine
        self.instance = instance
        self.cursor: str | None = None
        upgrade(settings.code_location())
        with self.engine.begin() as connection:
            connection.execute(text("TRUNCATE check_verdict, pipeline_run, notice"))

    def tick(self) -> None:
        resources = {"settings": settings.code_location(), "postgres": self.postgres}
        context = dg.build_sensor_context(self.instance, self.cursor, definitions=definitions(), resources=resources)
        record_and_notify(context)
        self.cursor = context.cursor

    def evaluate(self, passed: bool, late: list[str]) -> None:
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
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture
def reports(
    postgres_server: StackSettings,
    instance: dg.DagsterInstance,
    inbox: Inbox,
    other: Inbox,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reports]:
    monkeypatch.setenv("STOCKS_HOME", str(postgres_server.stocks_home))
    monkeypatch.setenv("NOTIFY_URLS", f"{inbox.url}, {other.url}")
    settings.code_location.cache_clear()
    made = Reports(instance)
    yield made
    made.engine.dispose()
    settings.code_location.cache_clear()


def test_the_newest_evaluation_is_copied_with_its_numbers_and_its_begin(reports: Reports) -> None:
    reports.evaluate(False, ["AAPL"])
    first = reports.verdict()
    assert (first.asset, first.passed, first.summary) == ("influxdb/stock_price_v1", False, "1 late")
    assert first.rows == [{"symbol": "AAPL"}]
    reports.evaluate(False, ["AAPL", "IBM"])
    still = reports.verdict()
    assert (still.summary, still.since) == ("2 late", first.since)
    assert still.judged_at > first.judged_at
    reports.evaluate(True, [])
    over = reports.verdict()
    assert (over.passed, over.since, over.rows) == (True, over.judged_at, [])


def test_a_run_is_copied_also_after_the_clock_was_set_back(reports: Reports) -> None:
    reports.cursor = (clock.now() + timedelta(hours=3)).isoformat()
    run = reports.instance.create_run_for_job(definitions().resolve_job_def("stream_prices"))
    assert reports.run(run.run_id).status == "NOT_STARTED"
    assert reports.cursor is not None
    assert reports.cursor <= clock.now().isoformat()


def test_a_run_is_copied_from_its_start_to_the_reason_of_its_failure(reports: Reports) -> None:
    job = definitions().resolve_job_def("stream_prices")
    run = reports.instance.create_run_for_job(job, tags={"stocks/reason": "5 messages are not stored yet"})
    queued = reports.run(run.run_id)
    assert (queued.role, queued.job, queued.summary) == ("stream", "stream_prices", "5 messages are not stored yet")
    reports.instance.report_run_failed(run, "no report from the stream of this run")
    failed = reports.run(run.run_id)
    assert (failed.status, failed.summary) == ("FAILURE", "no report from the stream of this run")
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


def test_a_failed_check_is_notified_once_and_once_when_it_is_resolved_also_across_restarts(
    reports: Reports, inbox: Inbox
) -> None:
    reports.evaluate(False, ["AAPL"])
    reports.tick()
    reports.tick()
    reports.cursor = None  # as after a restart that has lost it
    reports.tick()
    assert inbox.titles == ["stock-assets (replay): prices_are_fresh failed"]
    [message] = inbox.messages
    assert message["type"] == "failure"
    assert message["message"].splitlines()[:2] == ["1 late", "symbol AAPL"]
    assert message["message"].endswith("/assets/influxdb/stock_price_v1?view=checks&checkDetail=prices_are_fresh")
    reports.evaluate(True, [])
    reports.tick()
    reports.tick()
    assert inbox.titles[1:] == ["stock-assets (replay): Resolved: prices_are_fresh failed"]
    assert inbox.messages[1]["type"] == "success"


def test_what_can_not_be_delivered_fails_the_tick_and_is_retried(reports: Reports, inbox: Inbox, other: Inbox) -> None:
    other.answer = 503
    reports.evaluate(False, ["AAPL"])
    with pytest.raises(DeliveryError, match=r"address 2 of NOTIFY_URLS \(json\).*503.*stocks notify --test"):
        reports.tick()
    reports.tick()  # its next try is not due yet
    assert (len(inbox.messages), len(other.messages)) == (1, 0)
    other.answer = 200
    deliver_due_notifications(reports.engine, settings.code_location(), clock.now() + timedelta(seconds=31))
    assert (len(inbox.messages), len(other.messages)) == (1, 1)  # the first address does not get it again
    [notification] = read_notifications(reports.engine)
    assert (notification.attempts, notification.error) == (2, "")
    assert inbox.url not in repr(notification)


def test_a_failed_run_is_notified_with_its_reason(reports: Reports, inbox: Inbox) -> None:
    run = reports.instance.create_run_for_job(definitions().resolve_job_def("stream_prices"))
    reports.instance.report_run_failed(run, "no report from the stream of this run since 15:00:00 UTC")
    reports.tick()
    [message] = inbox.messages
    assert message["title"] == "stock-assets (replay): stream_prices failed"
    assert "no report from the stream of this run since 15:00:00 UTC" in message["message"]
    assert f"/runs/{run.run_id}" in message["message"]


def test_without_an_address_nothing_is_kept_for_later(
    reports: Reports, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = settings.code_location().notify_urls
    monkeypatch.setenv("NOTIFY_URLS", "")
    settings.code_location.cache_clear()
    reports.evaluate(False, ["AAPL"])
    reports.tick()
    monkeypatch.setenv("NOTIFY_URLS", addresses.get_secret_value())
    settings.code_location.cache_clear()
    reports.tick()
    assert inbox.messages == []
    reports.evaluate(True, [])
    reports.tick()
    assert inbox.titles == ["stock-assets (replay): Resolved: prices_are_fresh failed"]


def test_an_address_that_apprise_does_not_know_is_reported_without_its_secret(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_URLS", "nosuch://my-secret")
    settings.code_location.cache_clear()
    reports.evaluate(False, ["AAPL"])
    with pytest.raises(DeliveryError, match=r"address 1 of NOTIFY_URLS \(nosuch\)") as raised:
        reports.tick()
    assert "my-secret" not in str(raised.value)
