"""A home that an earlier build has made goes on under this one: its records, in Dagster's storage and our tables."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from alembic import command
from sqlalchemy import Engine, text

from infra.servers import dagster
from infra.settings import StackSettings
from stock_assets import settings
from stock_assets.incidents.notifications import Notification, NotificationKind, Severity, open_notifications
from stock_assets.operations.run_records import copy_runs
from stock_assets.operations.upgrade import upgrade_home
from stock_assets.pipeline.run_records import PipelineRun
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import alembic, revision, upgrade
from stock_assets.store.notifications import read_notifications, write_notifications
from stock_assets.store.pipeline_runs import read_runs, write_runs
from stock_assets_tests.services.dagster_records import instigator_records, record_sensor, record_tick

pytestmark = pytest.mark.services

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVALUATED = '{"at": "2026-11-20T12:00:00+00:00", "passed": true, "letters": {}}'


class EarlierHome:
    """What the build before has written: the revision of its tables, and records under its names."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance, self.folder = instance, folder
        self.settings = settings.code_location()
        self.engine: Engine = make_engine(self.settings.postgres)
        upgrade(self.settings)
        with alembic(self.settings) as config:
            command.downgrade(config, "0006")
        with self.engine.begin() as connection:
            connection.execute(text("TRUNCATE check_verdict, pipeline_run, notice"))

    def go_on(self) -> None:
        upgrade_home(self.settings, self.folder)

    def notify(self, subject: str, title: str, kind: NotificationKind = NotificationKind.BEGAN) -> None:
        write_notifications(self.engine, [Notification(subject, NOON, kind, Severity.ERROR, title, "", NOON, NOON)])


@pytest.fixture
def home(
    postgres_server: StackSettings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EarlierHome]:
    monkeypatch.setenv("STOCKS_HOME", str(postgres_server.stocks_home))
    monkeypatch.setenv("SOURCE", "replay")
    settings.code_location.cache_clear()
    made = EarlierHome(instance, dagster.folder(postgres_server))
    yield made
    upgrade(made.settings)
    made.engine.dispose()
    settings.code_location.cache_clear()


def test_sensors_that_a_person_stopped_stay_stopped_and_cursors_are_kept(home: EarlierHome) -> None:
    record_sensor(home.instance, "keep_prices_flowing")
    record_sensor(home.instance, "judge_prices", stopped=True, cursor=EVALUATED)
    record_sensor(home.instance, "report_what_happens", cursor=NOON.isoformat())
    record_sensor(home.instance, "follow_automation", cursor="conditions")
    record_sensor(home.instance, "repair_sessions", stopped=True)
    record_sensor(home.instance, "purge_history", stopped=True)
    record_tick(home.instance, "keep_prices_flowing", NOON, errors=("Kafka does not answer",))
    expected = {
        "run_programs": ("SENSOR", "DECLARED_IN_CODE", None),
        "evaluate_checks": ("SENSOR", "STOPPED", EVALUATED),
        "record_and_notify": ("SENSOR", "DECLARED_IN_CODE", NOON.isoformat()),
        "automation": ("SENSOR", "DECLARED_IN_CODE", "conditions"),
        "request_repairs": ("SENSOR", "STOPPED", None),
        "purge_history_schedule": ("SCHEDULE", "STOPPED", None),
    }
    home.go_on()
    assert instigator_records(home.instance) == expected
    home.go_on()
    assert instigator_records(home.instance) == expected


def test_a_schedule_of_what_was_not_stopped_runs_as_declared(home: EarlierHome) -> None:
    record_sensor(home.instance, "purge_history")
    home.go_on()
    assert instigator_records(home.instance) == {}


def test_an_upgrade_that_was_cut_off_is_done_again(home: EarlierHome) -> None:
    record_sensor(home.instance, "judge_prices", stopped=True, cursor=EVALUATED)
    record_sensor(home.instance, "evaluate_checks", cursor=EVALUATED)  # written, and the old one not deleted yet
    home.go_on()
    assert instigator_records(home.instance) == {"evaluate_checks": ("SENSOR", "STOPPED", EVALUATED)}
    revision_now = revision(home.settings)
    assert revision_now is not None
    assert revision_now >= "0008"


def test_open_incidents_have_the_names_under_which_they_can_end(home: EarlierHome) -> None:
    home.notify("sensor:judge_prices", "judge_prices can't do its work")
    home.notify("run:replay_prices", "replay_prices failed")
    home.notify("run:replay_prices", "replay_prices fails again and again", NotificationKind.WORSE)
    home.notify("run:judge_everything", "judge_everything failed")
    home.notify("check:prices_are_fresh", "prices_are_fresh failed")
    for _ in range(2):
        home.go_on()
        opened = open_notifications(read_notifications(home.engine))
        assert {subject: notification.title for subject, notification in opened.items()} == {
            "sensor:evaluate_checks": "evaluate_checks can't do its work",
            "run:reprocess_prices": "reprocess_prices failed",
            "run:evaluate_all_checks": "evaluate_all_checks failed",
            "check:prices_are_fresh": "prices_are_fresh failed",
        }
    assert len(read_notifications(home.engine)) == 5


def test_runs_of_renamed_jobs_are_known_by_the_new_names(home: EarlierHome) -> None:
    stored = PipelineRun("1", None, "replay_prices", "FAILURE", NOON, NOON, NOON, "no such offset")
    write_runs(home.engine, [stored, replace(stored, run_id="2", job="judge_everything")])
    home.go_on()
    assert {run.run_id: run.job for run in read_runs(home.engine).values()} == {
        "1": "reprocess_prices",
        "2": "evaluate_all_checks",
    }


def test_runs_that_dagster_knows_by_an_old_name_are_copied_under_the_new_one(home: EarlierHome) -> None:
    @dg.job
    def replay_prices() -> None: ...

    run_id = replay_prices.execute_in_process(instance=home.instance).run_id
    home.go_on()
    copy_runs(home.instance, home.engine, datetime.now(UTC) - timedelta(minutes=5))
    assert read_runs(home.engine)[run_id].job == "reprocess_prices"
