"""Every message of the shared cases, good and bad, through the whole program as Dagster starts it."""

import json
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import urllib3

from infra.servers import influxdb, kafka
from infra.settings import StackSettings
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState, read_heartbeat
from spark_streaming.contract.schema import Source, source_names
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.cases import BAR, SENT, Case, validity_cases
from stock_assets_tests.spark_streaming.conftest import environment_of
from stock_assets_tests.spark_streaming.influxdb_points import Points, points_in
from stock_assets_tests.spark_streaming.kafka_messages import PublishedRecord, everything_in, send

pytestmark = pytest.mark.services

CASES = validity_cases()
VALID = [case for case in CASES if case.reason is None]
# The bucket already has integers in the fields of that time's shard of 20 years, so InfluxDB refuses this bar.
OLD = datetime(1985, 1, 2, tzinfo=UTC)
OLD_BAR = (b"OLD", json.dumps(BAR | {"symbol": "OLD", "timestamp": f"{OLD:%Y-%m-%dT%H:%M:%SZ}"}).encode())
OLD_OFFSET = len(CASES)
SHARD_SECONDS = 20 * 365 * 24 * 3600


@dataclass(frozen=True)
class Outcome:
    topic: str
    points: Points
    dead_letters: dict[int, PublishedRecord]  # by the offset of what they hold
    heartbeat: Heartbeat
    run_id: str
    metadata: dict[str, Any]


@pytest.fixture(scope="module")
def outcome(stack: StackSettings, connector_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """All cases and one bar that the database refuses, in one partition, each at the offset of its number."""
    names = source_names(Source.YAHOO, f"messages-{uuid.uuid4().hex[:12]}", f"messages-{uuid.uuid4().hex[:12]}")
    kafka.create_topics(stack, names)
    tokens = influxdb.operator(stack).tokens_of(names.bucket, SHARD_SECONDS)
    bucket = Bucket(stack.effective_influxdb_url, stack.influx_org, names.bucket, tokens.write, tokens.read)
    _store_integers(bucket)
    messages = [(case.key, case.value) for case in CASES]
    send(stack.kafka_address, names.topic, [*messages, OLD_BAR], SENT, partition=1)

    state = tmp_path_factory.mktemp("messages") / "state"
    environment = environment_of(stack, names, bucket, connector_jars, state)
    result = dg.materialize(
        [influxdb_stock_price_v1], run_config={"ops": {"influxdb__stock_price_v1": {"config": {"env": environment}}}}
    )
    heartbeat = read_heartbeat(state)
    assert heartbeat is not None
    (materialization,) = result.asset_materializations_for_node("influxdb__stock_price_v1")
    dead_letters = everything_in(stack.kafka_address, names.dead_letter_topic)
    by_offset = {int(dead_letter.headers["source.offset"]): dead_letter for dead_letter in dead_letters}
    assert len(by_offset) == len(dead_letters)
    metadata = {name: value.value for name, value in materialization.metadata.items()}
    # A query across that shard would read the fields of all shards as integers, and so miss most.
    points = points_in(bucket, stop="1979-01-01") | points_in(bucket, start="2000-01-01")
    return Outcome(names.topic, points, by_offset, heartbeat, result.run_id, metadata)


@dg.asset(key=["influxdb", "stock_price_v1"], config_schema={"env": dict})
def influxdb_stock_price_v1(context: dg.AssetExecutionContext) -> Any:
    """As the platform's own asset runs it."""
    command = [sys.executable, "-m", "spark_streaming", "--available-now"]
    client = dg.PipesSubprocessClient()
    env = context.op_execution_context.op_config["env"]
    return client.run(command=command, context=context, env=env).get_results()


def _store_integers(bucket: Bucket) -> None:
    url = f"{bucket.url}/api/v2/write?org={bucket.org}&bucket={bucket.name}&precision=s"
    line = f"stock-price-v1,interval=1m,symbol=OTHER open=1i,high=1i,low=1i,close=1i,volume=1i {int(OLD.timestamp())}"
    answer = urllib3.request("POST", url, body=line, headers={"Authorization": f"Token {bucket.write_token}"})
    assert answer.status == 204


def _point(case: Case) -> tuple[tuple[str, str, int], dict[str, float | int]]:
    bar = json.loads(case.value or b"")
    time = datetime.fromisoformat(bar["timestamp"])
    fields = {name: float(bar[name]) for name in ("open", "high", "low", "close")}
    return (bar["symbol"], bar["interval"], int(time.timestamp())), {**fields, "volume": int(bar["volume"])}


def test_each_valid_message_is_stored_and_the_later_one_wins(outcome: Outcome) -> None:
    expected = dict(_point(case) for case in VALID)
    assert outcome.points == expected


@pytest.mark.parametrize(
    "offset", [number for number, case in enumerate(CASES) if case.reason], ids=lambda number: CASES[number].name
)
def test_each_bad_message_is_dead_lettered_byte_for_byte(offset: int, outcome: Outcome) -> None:
    case, dead_letter = CASES[offset], outcome.dead_letters[offset]
    assert (dead_letter.key, dead_letter.value) == (case.key, case.value)
    assert dead_letter.headers["reason"] == case.reason
    assert len(dead_letter.headers["error"]) > 10
    assert {name: text for name, text in dead_letter.headers.items() if name.startswith("source.")} == {
        "source.topic": outcome.topic,
        "source.partition": "1",
        "source.offset": str(offset),
        "source.timestamp": str(int(SENT.timestamp() * 1000)),
    }


def test_a_point_that_influxdb_refuses_is_dead_lettered_with_its_message(outcome: Outcome) -> None:
    dead_letter = outcome.dead_letters[OLD_OFFSET]
    assert (dead_letter.key, dead_letter.value) == OLD_BAR
    assert dead_letter.headers["reason"] == "refused-by-database"
    assert "field type conflict" in dead_letter.headers["error"]


def test_no_stored_record_is_dead_lettered(outcome: Outcome) -> None:
    assert sorted(outcome.dead_letters) == [number for number, case in enumerate(CASES) if case.reason] + [OLD_OFFSET]


def test_the_heartbeat_reports_what_was_done(outcome: Outcome) -> None:
    heartbeat = outcome.heartbeat
    assert (heartbeat.state, heartbeat.detail, heartbeat.run_id) == (ProgramState.DONE, "", outcome.run_id)
    assert (heartbeat.records, heartbeat.rejected) == (len(CASES) + 1, len(outcome.dead_letters))
    assert heartbeat.offsets == {0: 0, 1: len(CASES) + 1, 2: 0, 3: 0}
    assert heartbeat.lag == 0
    assert heartbeat.newest_event == datetime(2024, 11, 21, 14, 31, tzinfo=UTC)


def test_the_totals_are_reported_to_dagster(outcome: Outcome) -> None:
    metadata = outcome.metadata
    assert metadata["points"] == len(VALID)
    assert metadata["dead_lettered"] == len(outcome.dead_letters)
    assert metadata["batches"] == 1
    assert metadata["end_offsets"] == {"0": 0, "1": len(CASES) + 1, "2": 0, "3": 0}
    assert metadata["newest_event"] == datetime(2024, 11, 21, 14, 31, tzinfo=UTC).timestamp()
    assert metadata["measurement"] == "stock-price-v1"
    assert metadata["seconds"] > 0
