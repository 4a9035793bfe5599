"""A code location on two days of minutes of a replay, with a separate topic and bucket on the real servers."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
import urllib3
from sqlalchemy import text

from infra.servers import influxdb, kafka
from infra.settings import StackSettings
from spark_streaming.contract import clock, heartbeat
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState
from spark_streaming.contract.schema import MEASUREMENT, Source, source_names
from stock_assets import settings
from stock_assets.definitions import definitions
from stock_assets.defs.sessions.assets import make_session_summary
from stock_assets.defs.sessions.conditions import SUMMARY_KEY
from stock_assets.defs.sessions.jobs import repair_gaps
from stock_assets.defs.sessions.sensors import request_repairs
from stock_assets.evaluations.dagster_results import check_evaluation
from stock_assets.evaluations.evaluation import Evaluation
from stock_assets.ingest.publisher import Publisher
from stock_assets.market.bars import Bar
from stock_assets.market.calendars import session_on
from stock_assets.market.sessions import SessionSummary, expected_bars
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.kafka_records import fields_of
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.spark import SmallSparkResource
from stock_assets.sessions import completeness
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import write_coverage
from stock_assets.store.migrate import upgrade
from stock_assets.store.session_summaries import read_summaries
from stock_assets_tests.services.dagster_records import record_planned_check

THURSDAY, FRIDAY = date(2026, 11, 19), date(2026, 11, 20)
HALT = range(100, 110)  # minutes of Friday in which the source has no bar


def bars_of(day: date, left_out: Sequence[int] = ()) -> list[Bar]:
    starts = expected_bars(session_on("XNYS", day), "1m")
    return [
        Bar("AAPL", "1m", at, 100 + n % 7, 110 + n % 7, 90 + n % 7, 101 + n % 7, n + 1)
        for n, at in enumerate(starts)
        if n not in left_out
    ]


FRIDAYS_BARS = bars_of(FRIDAY, HALT)


class Platform:
    """The code location of a replay of two days of minutes, on a separate topic and bucket."""

    def __init__(self) -> None:
        self.settings = settings.code_location()
        self.kafka, self.influxdb = (
            KafkaResource.from_settings(self.settings),
            InfluxDBResource.from_settings(self.settings),
        )
        self.postgres = PostgresResource.from_settings(self.settings)
        self.instance = dg.DagsterInstance.ephemeral()
        upgrade(self.settings)
        self.forget()

    def forget(self) -> None:
        with self.postgres.engine.begin() as connection:
            connection.execute(text("TRUNCATE ingest_coverage, session_summary, session_repair"))
        (self.settings.state_of("stream") / "heartbeat.json").unlink(missing_ok=True)

    def publish(self, bars: Sequence[Bar]) -> None:
        """As the producer does; the file is at its end then."""
        with Publisher(self.settings.kafka_bootstrap_servers, self.settings.names.topic) as publisher:
            publisher.publish(bars)
        origin, newest = make_source(self.settings).origin, FRIDAYS_BARS[-1].start
        write_coverage(self.postgres.engine, [Coverage("AAPL", "1m", origin, newest, newest, "end of file", None)])

    def store(self, bars: Sequence[Bar]) -> None:
        """As the stream does, which then has done with all that is in the topic."""
        lines = [
            f"{MEASUREMENT},interval={b.interval},symbol={b.symbol} open={b.open},high={b.high},low={b.low},"
            f"close={b.close},volume={b.volume}i {int(b.start.timestamp())}"
            for b in bars
        ]
        names = self.settings.names
        query = f"org={self.settings.influx_org}&bucket={names.bucket}&precision=s"
        url = f"{self.settings.influxdb_url}/api/v2/write?{query}"
        headers = {"Authorization": f"Token {self.settings.influx_token.get_secret_value()}"}
        assert urllib3.request("POST", url, body="\n".join(lines).encode(), headers=headers).status == 204
        a_while_ago = clock.now() - timedelta(minutes=2)
        offsets = self.kafka.end_offsets(names.topic)
        written = Heartbeat("", 1, ProgramState.DONE, a_while_ago, a_while_ago, offsets=offsets)
        heartbeat.write_heartbeat(self.settings.state_of("stream"), written)

    def renew_heartbeat(self) -> None:
        """The stream has moved just now."""
        state = self.settings.state_of("stream")
        written = heartbeat.read_heartbeat(state)
        assert written is not None
        heartbeat.write_heartbeat(state, replace(written, written_at=clock.now()))

    def published(self) -> list[str]:
        return [str(fields_of(m.value)["timestamp"]) for m in self.kafka.messages(self.settings.names.topic)]

    def resources(self) -> dict[str, object]:
        spark = SmallSparkResource.from_settings(self.settings)
        return {
            "settings": self.settings,
            "influxdb": self.influxdb,
            "postgres": self.postgres,
            "kafka": self.kafka,
            "pyspark": spark,
        }

    def summarise(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        tags = {
            "dagster/asset_partition_range_start": f"{first}",
            "dagster/asset_partition_range_end": f"{last}",
        }
        asset = make_session_summary(self.settings)
        return dg.materialize([asset], instance=self.instance, resources=self.resources(), tags=tags)

    def summaries(self) -> list[SessionSummary]:
        return read_summaries(self.postgres.engine, THURSDAY, FRIDAY)

    def due(self) -> set[str]:
        selection = dg.AssetSelection.assets(SUMMARY_KEY)
        found = dg.evaluate_automation_conditions(definitions(), self.instance, asset_selection=selection)
        return {day for day in found.get_requested_partitions(SUMMARY_KEY) if day}

    def evaluate(self) -> Evaluation:
        """As the check does; Dagster records its result."""
        result = completeness.evaluate_sessions(self.settings, self.kafka, self.influxdb, self.postgres, clock.now())
        self.instance.report_runless_asset_event(check_evaluation(result, SUMMARY_KEY))
        return result

    def plan_evaluation(self) -> None:
        """As Dagster does before a run that evaluates the check."""
        record_planned_check(self.instance, dg.AssetCheckKey(SUMMARY_KEY, "session_is_complete"))

    def tick(self) -> dg.SensorResult:
        context = dg.build_sensor_context(instance=self.instance)
        result = request_repairs(context, settings=self.settings, influxdb=self.influxdb, postgres=self.postgres)
        assert isinstance(result, dg.SensorResult)
        return result

    def repair(self, **config: object) -> dg.ExecuteInProcessResult:
        return repair_gaps.execute_in_process(
            instance=self.instance,
            resources={"settings": self.settings, "influxdb": self.influxdb, "postgres": self.postgres},
            run_config={"ops": {"refetch_session": {"config": config}}} if config else None,
        )


@pytest.fixture
def platform(stack: StackSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platform]:
    """`AAPL` has 390 bars on Thursday and, with a halt of ten minutes, 380 on Friday."""
    file = tmp_path / "bars.csv"
    rows = [
        f"{b.symbol},{b.interval},{b.start:%Y-%m-%dT%H:%M:%SZ},{b.open},{b.high},{b.low},{b.close},{b.volume}\n"
        for b in bars_of(THURSDAY) + FRIDAYS_BARS
    ]
    file.write_text("symbol,interval,timestamp,open,high,low,close,volume\n" + "".join(rows))
    name = f"test-{uuid.uuid4().hex[:12]}"
    names = source_names(Source.REPLAY, name, name)
    kafka.create_topics(stack, names)
    tokens = influxdb.operator(stack).tokens_of(names.bucket, 20 * 365 * 24 * 3600)
    for key, value in {
        "STOCKS_HOME": stack.stocks_home,
        "STACK_STARTED_AT": "2026-11-20T00:00:00Z",
        "STOCK_PRICE_KAFKA_TOPIC": name,
        "INFLUXDB_BUCKET": name,
        "INFLUX_TOKEN": tokens.write,
        "INFLUX_READ_TOKEN": tokens.read,
        "REPLAY_FILE": file,
    }.items():
        monkeypatch.setenv(key, str(value))
    settings.code_location.cache_clear()
    platform = Platform()
    yield platform
    platform.forget()
    platform.postgres.engine.dispose()
    settings.code_location.cache_clear()
