"""The sensors on the real Kafka, InfluxDB and PostgreSQL, with a Dagster instance of their own."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import urllib3
from sqlalchemy import text

from infra.settings import StackSettings
from spark_streaming.contract import clock, heartbeat, process_lock, program_control
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState
from spark_streaming.contract.schema import Source
from stock_assets import settings
from stock_assets.definitions import definitions
from stock_assets.defs.prices.sensors import evaluate_checks
from stock_assets.defs.programs.sensors import run_programs
from stock_assets.evaluations import stream_lag
from stock_assets.evaluations.quotes import evaluate_quote_freshness, quote_message_lag
from stock_assets.ingest.publisher import Publisher
from stock_assets.market.bars import Bar
from stock_assets.market.quotes import Quote
from stock_assets.pipeline.coverage import Coverage
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import write_coverage
from stock_assets.store.migrate import upgrade

pytestmark = pytest.mark.services

START = datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
BAR = Bar("AAPL", "1d", START, 10, 11, 9, 10.5, 100)


class Platform:
    """The code location of the test run's stack, source replay, with nothing published and nothing covered."""

    def __init__(self) -> None:
        self.settings: CodeLocationSettings = settings.code_location()
        self.kafka = KafkaResource.from_settings(self.settings)
        self.postgres = PostgresResource.from_settings(self.settings)
        self.influxdb = InfluxDBResource.from_settings(self.settings)
        self.instance = dg.DagsterInstance.ephemeral()
        upgrade(self.settings)
        self.reset()

    def reset(self) -> None:
        with self.postgres.engine.begin() as connection:
            connection.execute(text("TRUNCATE ingest_coverage"))
        for program in ("ingest", "stream"):
            (self.settings.state_of(program) / "heartbeat.json").unlink(missing_ok=True)
            program_control.clear_drain_request(self.settings.state_of(program))

    def everything_is_published(self) -> None:
        origin = make_source(self.settings).origin
        write_coverage(self.postgres.engine, [Coverage("AAPL", "1d", origin, START, START, "end of file", None)])

    def everything_is_stored(self) -> None:
        self.heartbeat("stream", offsets=self.kafka.end_offsets(self.settings.names.topic))

    def heartbeat(self, program: str, run_id: str = "", offsets: dict[int, int] | None = None) -> None:
        written = Heartbeat(run_id, 1, ProgramState.RUNNING, clock.now(), clock.now(), offsets=offsets or {})
        heartbeat.write_heartbeat(self.settings.state_of(program), written)

    def tick(self) -> dg.SensorResult:
        context = dg.build_sensor_context(instance=self.instance, definitions=definitions())
        result = run_programs(context, settings=self.settings, kafka=self.kafka, postgres=self.postgres)
        assert isinstance(result, dg.SensorResult)
        return result

    def started(self) -> list[str | None]:
        return [request.job_name for request in self.tick().run_requests or []]

    def evaluate(self, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(instance=self.instance, cursor=cursor)
        result = evaluate_checks(
            context, settings=self.settings, kafka=self.kafka, influxdb=self.influxdb, postgres=self.postgres
        )
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result


@pytest.fixture
def platform(stack: StackSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setenv("STOCKS_HOME", str(stack.stocks_home))
    settings.code_location.cache_clear()
    platform = Platform()
    yield platform
    platform.reset()
    platform.postgres.engine.dispose()
    settings.code_location.cache_clear()


def test_a_source_with_bars_starts_both_programs(platform: Platform) -> None:
    assert platform.started() == ["publish_prices", "stream_prices"]


def test_all_published_and_stored_starts_nothing_and_gives_the_reason(platform: Platform) -> None:
    platform.everything_is_published()
    platform.everything_is_stored()
    result = platform.tick()
    assert not result.run_requests
    assert "all that the source has is published" in str(result.skip_reason)


def test_messages_that_are_not_stored_start_the_stream_alone(platform: Platform) -> None:
    platform.everything_is_stored()
    with Publisher(platform.settings.kafka_bootstrap_servers, platform.settings.names.topic) as publisher:
        publisher.publish([BAR])
    platform.everything_is_published()
    assert platform.started() == ["stream_prices"]


def test_a_running_program_is_not_started_twice_and_drained_when_its_work_is_done(platform: Platform) -> None:
    state = platform.settings.state_of("stream")
    with process_lock.ProcessLock(state):
        platform.heartbeat("stream", offsets=platform.kafka.end_offsets(platform.settings.names.topic))
        assert platform.started() == ["publish_prices"]
        assert not program_control.drain_is_requested(state)
        platform.everything_is_published()
        assert platform.started() == []
        assert program_control.drain_is_requested(state)


def test_a_run_whose_program_was_killed_is_failed_and_waited_for(platform: Platform) -> None:
    platform.everything_is_published()
    job = definitions().resolve_job_def("stream_prices")
    run = platform.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    platform.heartbeat("stream", run.run_id)
    written = heartbeat.read_heartbeat(platform.settings.state_of("stream"))
    assert written is not None
    silent = replace(written, written_at=clock.now() - timedelta(seconds=90))
    heartbeat.write_heartbeat(platform.settings.state_of("stream"), silent)
    platform.tick()
    ended = platform.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_an_outage_of_kafka_fails_the_tick(platform: Platform) -> None:
    platform.kafka = KafkaResource(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(Exception, match=r"[Kk]afka|[Bb]roker"):
        platform.tick()


def test_a_published_bar_that_is_not_stored_is_late_without_a_run(platform: Platform) -> None:
    platform.everything_is_published()
    platform.everything_is_stored()
    result = platform.evaluate()
    assert isinstance(result, dg.SensorResult)
    results = {event.check_name: event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)}
    assert not results["prices_are_fresh"].passed
    assert "AAPL" in (results["prices_are_fresh"].description or "")


def test_a_replay_under_way_is_not_evaluated(platform: Platform) -> None:
    with Publisher(platform.settings.kafka_bootstrap_servers, platform.settings.names.topic) as publisher:
        publisher.publish([BAR])
    platform.everything_is_published()
    platform.heartbeat("ingest")
    assert isinstance(platform.evaluate(), dg.SkipReason)


def test_the_age_of_what_waits_in_kafka_is_reported_even_before_any_stream_has_run(platform: Platform) -> None:
    with Publisher(platform.settings.kafka_bootstrap_servers, platform.settings.names.topic) as publisher:
        publisher.publish([BAR])
    found = stream_lag.partition_lags(platform.settings, platform.kafka)
    long_running = platform.settings.model_copy(update={"stack_started_at": START})
    [oldest] = [min(partition.oldest_sent_at for partition in found if partition.oldest_sent_at)]
    assert clock.now() - oldest < timedelta(hours=1)
    for seconds, passed, severity in ((30, True, "WARN"), (90, False, "WARN"), (301, False, "ERROR")):
        evaluation = stream_lag.evaluate_stream_lag(long_running, found, oldest + timedelta(seconds=seconds))
        assert (evaluation.passed, evaluation.severity.value) == (passed, severity)
        assert evaluation.figures["lag_seconds"] == seconds
    assert len(evaluation.rows) == 4
    platform.everything_is_stored()
    stored = stream_lag.partition_lags(platform.settings, platform.kafka)
    assert stream_lag.evaluate_stream_lag(long_running, stored, oldest + timedelta(days=1)).passed


def test_checks_that_passed_are_not_evaluated_again_while_nothing_moves(platform: Platform) -> None:
    write_coverage(
        platform.postgres.engine,
        [Coverage("AAPL", "1d", make_source(platform.settings).origin, START, None, "end of file", None)],
    )
    platform.everything_is_stored()
    first = platform.evaluate()
    assert isinstance(first, dg.SensorResult)
    assert [event.check_name for event in first.asset_events if isinstance(event, dg.AssetCheckEvaluation)] == [
        "prices_are_fresh",
        "stream_keeps_up",
        "quotes_are_fresh",
        "no_dead_letters",
        "no_quote_dead_letters",
    ]
    assert isinstance(platform.evaluate(first.cursor), dg.SkipReason)
    platform.everything_is_stored()  # the stream has written a heartbeat since
    assert isinstance(platform.evaluate(first.cursor), dg.SensorResult)


def test_quotes_that_stopped_are_late_and_a_source_without_any_is_not(platform: Platform) -> None:
    now = datetime.now(UTC)
    assert evaluate_quote_freshness(platform.settings, platform.influxdb, platform.postgres, now).passed
    simulated = platform.settings.model_copy(
        update={"source": Source.SIMULATED, "stack_started_at": now - timedelta(hours=1)}
    )

    def passes(moment: datetime) -> bool:
        return evaluate_quote_freshness(simulated, platform.influxdb, platform.postgres, moment).passed

    assert not passes(now)
    point = f"stock-quote-v1,symbol={simulated.stocks[0]} price=1 {int(now.timestamp() * 1000)}000007"
    answer = urllib3.request(
        "POST",
        f"{simulated.influxdb_url}/api/v2/write?org={simulated.influx_org}&bucket={platform.influxdb.bucket}",
        body=point,
        headers={"Authorization": f"Token {simulated.influx_token.get_secret_value()}"},
    )
    assert answer.status == 204
    assert passes(now + timedelta(minutes=4))
    assert not passes(now + timedelta(minutes=6))


def test_quotes_that_are_not_stored_keep_the_stream_running(platform: Platform) -> None:
    platform.everything_is_published()
    platform.everything_is_stored()
    simulated = platform.settings.model_copy(update={"source": Source.SIMULATED})
    with Publisher(simulated.kafka_bootstrap_servers, simulated.names.quote_topic) as publisher:
        publisher.publish([Quote("AMZN", START, 100.0)])
    assert quote_message_lag(simulated, platform.kafka) >= 1
    assert quote_message_lag(platform.settings, platform.kafka) == 0
