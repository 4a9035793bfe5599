"""Starting, stopping and being killed: nothing is lost or stored twice."""

import signal
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.settings import StackSettings
from spark_streaming import feed
from spark_streaming.contract.clock import now
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState, read_heartbeat, write_heartbeat
from spark_streaming.contract.process_lock import EXIT_LOCKED, is_locked
from spark_streaming.contract.program_control import request_drain
from spark_streaming.contract.schema import Source, SourceNames
from spark_streaming.runtime import program
from spark_streaming.runtime.signals import StopSignals
from spark_streaming.settings import StreamSettings
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.cases import SENT
from stock_assets_tests.spark_streaming.conftest import Launcher
from stock_assets_tests.spark_streaming.influxdb_points import points_in
from stock_assets_tests.spark_streaming.kafka_messages import bars, everything_in, send

pytestmark = pytest.mark.services

BARS = 6_000
MANY_BATCHES = {"MAX_OFFSETS_PER_TRIGGER": "200"}


def test_a_starting_stream_reports_what_was_done_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: StreamSettings) -> None:
        raise RuntimeError("before the checkpoint was read")

    moment = now()
    write_heartbeat(tmp_path, Heartbeat("", 1, ProgramState.DONE, moment, moment, offsets={0: 5}))
    monkeypatch.setattr(StopSignals, "listen", lambda signals: None)
    monkeypatch.setattr(feed, "bar_feed", fail)
    settings = StreamSettings(
        source=Source.REPLAY, influx_token=SecretStr(""), stream_state=tmp_path, spark_jars=tmp_path
    )
    with pytest.raises(RuntimeError, match="before the checkpoint"):
        program.run(settings, True, None)
    written = read_heartbeat(tmp_path)
    assert written is not None
    assert written.started_at >= moment
    assert written.offsets == {0: 5}  # else all of the topic would seem to wait


def test_a_stream_that_is_stopped_and_killed_stores_each_bar_once(
    launcher: Launcher, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    send(stack.kafka_address, fresh_topic.topic, bars(BARS), SENT)
    request_drain(launcher.state)  # of an earlier life: a start forgets it

    first = launcher.start(**MANY_BATCHES)
    first.wait_for(lambda program: program.has_begun())
    second = launcher.start(**MANY_BATCHES)
    assert second.end(20) == EXIT_LOCKED
    assert f"held by process {first.process.pid}" in second.log
    first.wait_for(lambda program: program.has_stored_something())
    first.process.send_signal(signal.SIGTERM)
    assert first.end(15) == 0
    assert first.heartbeat.state is ProgramState.DONE
    assert not is_locked(launcher.state)
    done = sum(first.heartbeat.offsets.values())
    assert 0 < done < BARS, "to be stopped in the middle is the point of this test"
    assert len(points_in(fresh_bucket)) == first.heartbeat.records == done, "it stopped between two batches"

    third = launcher.start(**MANY_BATCHES)
    third.wait_for(lambda program: program.has_stored_something())
    third.process.kill()
    third.end()
    assert third.heartbeat.records < BARS - done, "to be killed in the middle is the point of this test"

    fourth = launcher.start()
    fourth.wait_for(lambda program: program.has_begun() and program.heartbeat.state is not ProgramState.STARTING)
    request_drain(launcher.state)
    assert fourth.end() == 0
    assert (fourth.heartbeat.state, fourth.heartbeat.lag) == (ProgramState.DONE, 0)
    assert sum(fourth.heartbeat.offsets.values()) == BARS
    assert {fields["volume"] for fields in points_in(fresh_bucket).values()} == set(range(BARS))
    assert everything_in(stack.kafka_address, fresh_topic.dead_letter_topic) == []


def test_a_wrong_token_loses_nothing_and_is_an_error(
    launcher: Launcher, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    send(stack.kafka_address, fresh_topic.topic, bars(10), SENT)
    wrong = {"INFLUX_TOKEN": "not-the-right-one"}

    waiting = launcher.start(**wrong)
    waiting.wait_for(lambda program: "401: unauthorized" in program.log)
    assert waiting.heartbeat.state is ProgramState.RUNNING
    began = time.monotonic()
    waiting.process.send_signal(signal.SIGINT)
    assert waiting.end(15) == 0
    assert time.monotonic() - began < 11
    assert "stopped in the middle of a batch" in waiting.log

    failing = launcher.start(**wrong, WRITE_PATIENCE_SECONDS="0.5")
    assert failing.end() == 1
    assert failing.heartbeat.state is ProgramState.FAILED
    assert "401: unauthorized" in failing.heartbeat.detail
    assert failing.heartbeat.detail in failing.log
    assert "not-the-right-one" not in waiting.log + failing.log + repr(failing.heartbeat)
    assert list((launcher.state / "checkpoint" / "commits").glob("[0-9]*")) == []

    assert launcher.start("--available-now").end() == 0
    assert len(points_in(fresh_bucket)) == 10


@pytest.mark.parametrize("missing", ["SOURCE", "INFLUX_TOKEN", "SPARK_JARS", "STREAM_STATE"])
def test_a_missing_setting_is_named(launcher: Launcher, missing: str) -> None:
    del launcher.environment[missing]
    program = launcher.start()
    assert program.end(20) == 78
    assert f"ERROR {missing}: " in program.log
