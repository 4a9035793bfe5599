"""Dead letters from their arrival to the message that they are settled: real Kafka, Dagster, PostgreSQL and Apprise."""

import json
import uuid
from collections.abc import Iterator

import dagster as dg
import pytest
from kafka import KafkaProducer
from sqlalchemy import text
from typer.testing import CliRunner, Result

from infra.cli.main import app
from infra.servers import kafka
from infra.settings import StackSettings
from infra.stack import state
from spark_streaming.contract import clock, heartbeat, process_lock
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState
from spark_streaming.contract.schema import HEADER_ERROR, HEADER_OFFSET, HEADER_PARTITION, HEADER_REASON, HEADER_TOPIC
from stock_assets import settings
from stock_assets.definitions import definitions
from stock_assets.defs.prices.sensors import evaluate_checks
from stock_assets.defs.programs.sensors import record_and_notify
from stock_assets.evaluations.dead_letters import (
    bar_dead_letters,
    evaluate_counts,
    evaluate_dead_letters,
    quote_dead_letters,
)
from stock_assets.pipeline.dead_letters import DeadLetterCount
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.store.migrate import upgrade
from stock_assets_tests.services.inbox import Inbox
from stock_assets_tests.spark_streaming.cases import BAR, QUOTE

GOOD, BAD = "refused-by-database", "no-key"  # the first may go back at any time, the second never


class Desk:
    """A platform of its own topics, whose dead letters are counted, notified and settled."""

    def __init__(self, home: StackSettings, instance: dg.DagsterInstance, quotes: bool) -> None:
        self.home, self.instance, self.quotes = home, instance, quotes
        self.settings = settings.code_location()
        self.kafka = KafkaResource.from_settings(self.settings)
        self.postgres = PostgresResource.from_settings(self.settings)
        names = self.settings.names
        kafka.create_topics(home, names)
        self.topic = names.quote_topic if quotes else names.topic
        self.box = quote_dead_letters(names) if quotes else bar_dead_letters(names)
        self.cursor: str | None = None
        self.done: dict[int, int] = {}  # of the bars' topic
        upgrade(self.settings)
        with self.postgres.engine.begin() as connection:
            connection.execute(text("TRUNCATE check_verdict, pipeline_run, notice, ingest_coverage"))

    def refuse(self, reason: str, key: bytes | None = b"AMZN") -> int:
        """Publish a record, and its dead letter as the stream would write it; returns the record's offset."""
        value = json.dumps(QUOTE if self.quotes else BAR).encode()
        producer = KafkaProducer(bootstrap_servers=self.home.kafka_address)
        try:
            offset: int = producer.send(self.topic, key=key, value=value, partition=1).get(30).offset
            headers = {
                HEADER_REASON: reason, HEADER_ERROR: "It was refused.", HEADER_TOPIC: self.topic,
                HEADER_PARTITION: "1", HEADER_OFFSET: str(offset),
            }  # fmt: skip
            texts = [(name, text.encode()) for name, text in headers.items()]
            producer.send(self.box.topic, key=key, value=value, headers=texts).get(30)
        finally:
            producer.close()
        return offset

    def evaluate(self) -> str | None:
        """A tick of both sensors with no other reason to evaluate; the summary of the check, None without one."""
        done = self.kafka.end_offsets(self.settings.names.topic)
        if done != self.done:
            written = Heartbeat("", 1, ProgramState.RUNNING, clock.now(), clock.now(), offsets=done)
            heartbeat.write_heartbeat(self.settings.state_of("stream"), written)
            self.done = done
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        influxdb = InfluxDBResource.from_settings(self.settings)
        result = evaluate_checks(
            context, settings=self.settings, kafka=self.kafka, influxdb=influxdb, postgres=self.postgres
        )
        if isinstance(result, dg.SkipReason):
            return None
        assert isinstance(result, dg.SensorResult)
        events = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
        for event in events:
            self.instance.report_runless_asset_event(event)
        self.cursor = result.cursor
        reporting = dg.build_sensor_context(instance=self.instance, definitions=definitions())
        record_and_notify(reporting, settings=self.settings, postgres=self.postgres)
        return next((event.description for event in events if event.check_name == self.box.check), None)

    def stocks(self, *words: str) -> Result:
        """`stocks dead-letters`, while the platform runs."""
        with process_lock.ProcessLock(state.run_folder(self.home.stocks_home)):
            return CliRunner().invoke(app, ["dead-letters", *words, *(["--quotes"] if self.quotes else [])])


@pytest.fixture(params=[False, True], ids=["bars", "quotes"])
def desk(
    stack: StackSettings,
    instance: dg.DagsterInstance,
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Desk]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("STOCKS_HOME", str(stack.stocks_home))
    monkeypatch.setenv("STOCK_PRICE_KAFKA_TOPIC", name)
    monkeypatch.setenv("STOCK_QUOTE_KAFKA_TOPIC", f"{name}-quotes")
    monkeypatch.setenv("NOTIFY_URLS", inbox.url)
    settings.code_location.cache_clear()
    made = Desk(stack, instance, request.param)
    yield made
    (made.settings.state_of("stream") / "heartbeat.json").unlink(missing_ok=True)
    made.postgres.engine.dispose()
    settings.code_location.cache_clear()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


def notified_titles(inbox: Inbox, desk: Desk) -> list[str]:
    return [title.partition(": ")[2] for title in inbox.titles if desk.box.check in title]


@pytest.mark.services
def test_dead_letters_warn_until_each_is_settled_and_the_end_is_notified(desk: Desk, inbox: Inbox) -> None:
    assert desk.evaluate() == "every message could be stored"
    desk.refuse(GOOD)
    wrong = desk.refuse(BAD, key=None)
    summary = desk.evaluate() or ""
    assert summary.startswith(f"2 open dead letters in {desk.box.topic}")
    assert desk.evaluate() is None  # nothing has come, so nothing is read
    assert notified_titles(inbox, desk) == [f"{desk.box.check} warns"]

    requeued = desk.stocks("requeue", "--json")
    assert json.loads(requeued.stdout) == {"replay": 1, "back": 0, "newer": 0, "still": 1, "dry_run": False}
    assert (desk.evaluate() or "").startswith(f"1 open dead letters in {desk.box.topic}")
    assert notified_titles(inbox, desk) == [f"{desk.box.check} warns"]

    dismissed = desk.stocks("dismiss", "--reason", BAD, "--note", "a test of [mine]")
    assert dismissed.exit_code == 0, dismissed.output
    assert "1 are dismissed" in dismissed.stdout
    assert desk.evaluate() == "every message could be stored, or is settled: 2 are"
    assert notified_titles(inbox, desk) == [f"{desk.box.check} warns", f"Resolved: {desk.box.check} warns"]
    by_hand = evaluate_dead_letters(desk.kafka, desk.box)
    assert (by_hand.passed, by_hand.figures) == (True, {"dead_letters": 0, "settled": 2})

    assert json.loads(desk.stocks("list", "--json").stdout) == []
    assert "2 settled: `--all`" in desk.stocks("list").stdout
    groups = json.loads(desk.stocks("list", "--all", "--json").stdout)
    assert {(group["reason"], group["state"], group["count"]) for group in groups} == {
        (GOOD, "replayed", 1), (BAD, "dismissed", 1),
    }  # fmt: skip
    assert desk.stocks("show").exit_code == 1
    assert ": a test of [mine]" in desk.stocks("show", "1", str(wrong)).stdout


@pytest.mark.services
def test_what_an_interrupted_requeue_has_sent_is_settled_by_the_next(desk: Desk) -> None:
    desk.refuse(GOOD)
    sent = desk.kafka.messages(desk.topic)
    producer = KafkaProducer(bootstrap_servers=desk.home.kafka_address)
    [record] = list(sent)
    producer.send(desk.topic, key=record.key, value=record.value, partition=record.partition).get(30)
    producer.close()
    assert json.loads(desk.stocks("requeue", "--dry-run", "--json").stdout)["back"] == 1
    assert not evaluate_dead_letters(desk.kafka, desk.box).passed
    assert json.loads(desk.stocks("requeue", "--json").stdout)["back"] == 1
    assert evaluate_dead_letters(desk.kafka, desk.box).passed
    assert len(list(desk.kafka.messages(desk.topic))) == 2


@pytest.mark.services
def test_a_dismissal_names_its_dead_letters_and_a_wrong_one_is_requeued_by_its_offset(desk: Desk) -> None:
    offset = desk.refuse(GOOD)
    assert [desk.stocks("dismiss", *words).exit_code for words in ([], ["1"], ["--reason", "none"])] == [2, 2, 2]
    assert desk.stocks("dismiss", "2", str(offset)).exit_code == 1  # there is none
    assert desk.stocks("dismiss", "1", str(offset), "--dry-run").exit_code == 0
    assert not evaluate_dead_letters(desk.kafka, desk.box).passed
    assert desk.stocks("dismiss", "1", str(offset)).exit_code == 0
    assert evaluate_dead_letters(desk.kafka, desk.box).passed
    assert json.loads(desk.stocks("requeue", "--json").stdout)["replay"] == 0
    assert json.loads(desk.stocks("requeue", "1", str(offset), "--json").stdout)["replay"] == 1
    assert len(list(desk.kafka.messages(desk.topic))) == 2
    assert "replayed" in desk.stocks("show", "1", str(offset)).stdout


@pytest.mark.services
def test_more_dead_letters_than_a_tick_can_count_warn_too(desk: Desk) -> None:
    desk.refuse(GOOD)
    desk.refuse(GOOD)
    evaluation = evaluate_dead_letters(desk.kafka, desk.box, at_most=1)
    assert (evaluation.passed, evaluation.figures) == (False, {})
    assert "run this check by hand" in evaluation.summary
    assert evaluate_dead_letters(desk.kafka, desk.box, at_most=2).figures == {"dead_letters": 2, "settled": 0}


def test_the_table_has_open_dead_letters_first_and_counts_the_settled_ones() -> None:
    evaluation = evaluate_counts(
        bar_dead_letters(settings.code_location().names),
        [DeadLetterCount("A", BAD, 0, 2), DeadLetterCount("B", GOOD, 3, 1)],
    )
    assert evaluation.rows == [
        {"symbol": "B", "reason": GOOD, "open": 3, "settled": 1},
        {"symbol": "A", "reason": BAD, "open": 0, "settled": 2},
    ]
    assert (evaluation.passed, evaluation.figures) == (False, {"dead_letters": 3, "settled": 3})
