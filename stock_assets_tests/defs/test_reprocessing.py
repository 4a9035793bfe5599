"""Reprocessing while the stream runs, on the real Kafka, InfluxDB and PostgreSQL."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from spark_streaming.contract import process_lock
from stock_assets import settings
from stock_assets.defs.prices import jobs
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.defs.prices.jobs import reprocess_prices
from stock_assets.operations.program_runs import run_subprocess
from stock_assets.resources.program_client import ProgramClient
from stock_assets_tests.defs.minutes import FRIDAY, FRIDAYS_BARS, Platform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.services


def run(platform: Platform, **config: object) -> dg.ExecuteInProcessResult:
    resources = {
        "settings": settings.code_location(),
        "kafka": platform.kafka,
        "postgres": platform.postgres,
        "pipes": ProgramClient(),
    }
    run_config = {"ops": {"reprocess": {"config": config}}}
    return reprocess_prices.execute_in_process(run_config, instance=platform.instance, resources=resources)


@pytest.fixture
def with_jars(platform: Platform, connector_jars: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("SPARK_JARS", str(connector_jars))
    settings.code_location.cache_clear()
    return platform


def test_a_part_of_the_topic_is_stored_again_while_a_stream_runs(with_jars: Platform) -> None:
    platform = with_jars
    platform.publish(FRIDAYS_BARS[:300])
    [partition] = [p for p, end in platform.kafka.end_offsets(platform.settings.names.topic).items() if end]
    stream = platform.settings.state_of("stream")
    with process_lock.ProcessLock(stream):  # as a running stream does
        before = sorted(path.name for path in stream.iterdir())
        result = run(platform, from_offsets={str(partition): 100})
        assert result.success
        assert sorted(path.name for path in stream.iterdir()) == before
    stored = platform.influxdb.stored()["AAPL", "1m"]
    assert (stored.points, stored.oldest) == (200, FRIDAYS_BARS[100].start)
    assert not list(platform.settings.state_of("replays").iterdir())
    event = platform.instance.get_latest_materialization_event(MEASUREMENT_KEY)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["points"].value == 200
    assert run(platform, session=f"{FRIDAY}").success
    assert platform.influxdb.stored()["AAPL", "1m"].points == 300


def test_a_newer_message_that_arrives_meanwhile_wins(with_jars: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, passes = with_jars, list[Any]()
    platform.publish(FRIDAYS_BARS[:10])
    [partition] = [p for p, end in platform.kafka.end_offsets(platform.settings.names.topic).items() if end]
    corrected = replace(FRIDAYS_BARS[9], volume=1)

    def run_while_the_stream_goes_on(*given: Any) -> Any:
        reported = run_subprocess(*given)
        if not passes:
            platform.publish([corrected])
            platform.store([corrected])
        platform.store([FRIDAYS_BARS[9]] if not passes else [])  # this one's last batch is the later one to arrive
        passes.append(given)
        return reported

    monkeypatch.setattr(jobs, "run_subprocess", run_while_the_stream_goes_on)
    assert run(platform, from_offsets={str(partition): 0}).success
    assert len(passes) == 2
    begin, end = FRIDAYS_BARS[9].start, FRIDAYS_BARS[10].start
    assert platform.influxdb.points("AAPL", begin, end)["1m", begin]["volume"] == 1


def test_an_interrupted_reprocessing_reports_a_remedy(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_JARS", str(tmp_path))  # where there are none
    settings.code_location.cache_clear()
    platform.publish(FRIDAYS_BARS[:10])
    with pytest.raises(dg.Failure, match="Run it again with the same configuration"):
        run(platform, session=f"{FRIDAY}")


@pytest.mark.parametrize(
    ("config", "result"),
    [
        ({}, "Say which messages"),
        ({"session": "2026-11-20", "from_offsets": {"0": 1}}, "Say which messages"),
        ({"session": "2026-11-21"}, "No exchange of the symbols in use has a session on 2026-11-21"),
        ({"from_offsets": {"0": 100_000}}, "has no offset 100000 in partition 0; it has 0 to "),
        ({"from_offsets": {"9": 0}}, "has no offset 0 in partition 9"),
    ],
)
def test_what_can_not_be_reprocessed_is_an_error_with_the_alternatives(
    platform: Platform, config: dict[str, object], result: str
) -> None:
    platform.publish(FRIDAYS_BARS[:10])
    with pytest.raises(dg.Failure, match=result):
        run(platform, **config)
