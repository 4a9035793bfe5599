"""The heartbeat of a program, from its start to its end."""

from pathlib import Path

import pytest

from spark_streaming.contract.heartbeat import Heartbeat, ProgramState, read_heartbeat
from spark_streaming.contract.heartbeat_writer import HeartbeatWriter
from spark_streaming.contract.program_control import request_drain
from stock_assets_tests.services.waiting import until


def heartbeat_in(folder: Path) -> Heartbeat:
    found = read_heartbeat(folder)
    assert found is not None
    return found


def test_a_heartbeat_is_written_at_once_and_each_second(tmp_path: Path) -> None:
    records = iter(range(100))
    with HeartbeatWriter(tmp_path, "run", lambda: {"records": next(records)}) as heartbeat_writer:
        first = heartbeat_in(tmp_path)
        assert (first.state, first.records, first.run_id) == (ProgramState.STARTING, 0, "run")
        heartbeat_writer.set_state(ProgramState.RUNNING, "a into b")
        assert (heartbeat_in(tmp_path).state, heartbeat_in(tmp_path).detail) == (ProgramState.RUNNING, "a into b")
        until(lambda: heartbeat_in(tmp_path).records > 2, 10)
        assert heartbeat_in(tmp_path).written_at > first.written_at
        assert heartbeat_in(tmp_path).started_at == first.started_at
    assert (heartbeat_in(tmp_path).state, heartbeat_in(tmp_path).detail) == (ProgramState.DONE, "")


def test_counts_stay_when_the_state_changes(tmp_path: Path) -> None:
    with HeartbeatWriter(tmp_path, "") as heartbeat_writer:
        heartbeat_writer.update(records=7)
        heartbeat_writer.set_state(ProgramState.RUNNING)
    assert heartbeat_in(tmp_path).records == 7


def test_writing_goes_on_after_an_error(tmp_path: Path) -> None:
    with HeartbeatWriter(tmp_path, "") as heartbeat_writer:
        (tmp_path / "heartbeat.json").unlink()
        (tmp_path / "heartbeat.json").mkdir()  # what can't be replaced, as on a disk that is full
        until(lambda: (tmp_path / "heartbeat.json.new").exists(), 10)
        (tmp_path / "heartbeat.json").rmdir()
        until(lambda: read_heartbeat(tmp_path), 10)
        assert heartbeat_in(tmp_path).started_at == heartbeat_writer.heartbeat.started_at


@pytest.mark.parametrize("text", ["", '{"run_id": "a", "sta'])
def test_a_truncated_heartbeat_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "heartbeat.json").write_text(text)
    assert read_heartbeat(tmp_path) is None


def test_a_drain_request_is_noticed(tmp_path: Path) -> None:
    asked = []
    with HeartbeatWriter(tmp_path, "", on_drain=lambda: asked.append(True)):
        request_drain(tmp_path)
        until(lambda: asked, 10)


def test_an_error_is_in_the_last_heartbeat(tmp_path: Path) -> None:
    with pytest.raises(KeyError), HeartbeatWriter(tmp_path, ""):
        raise KeyError("open")
    assert (heartbeat_in(tmp_path).state, heartbeat_in(tmp_path).detail) == (ProgramState.FAILED, "KeyError: 'open'")


def test_a_reason_that_was_written_is_kept(tmp_path: Path) -> None:
    heartbeat_writer = HeartbeatWriter(tmp_path, "")
    with pytest.raises(ValueError, match="y"), heartbeat_writer:
        _fail(heartbeat_writer)
    assert heartbeat_in(tmp_path).detail == "the file ends in line 8"


def _fail(heartbeat_writer: HeartbeatWriter) -> None:
    heartbeat_writer.set_state(ProgramState.FAILED, "the file ends in line 8")
    raise ValueError("y")
