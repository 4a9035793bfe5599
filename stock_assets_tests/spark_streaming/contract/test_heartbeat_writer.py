"""The heartbeat of a program, from its start to its end."""

from pathlib import Path

import pytest

from spark_streaming.contract.heartbeat import Heartbeat, ProgramState, read_heartbeat
from spark_streaming.contract.heartbeat_writer import HeartbeatWriter
from spark_streaming.contract.program_control import request_drain
from stock_assets_tests.infra.terminal import until


def beat(folder: Path) -> Heartbeat:
    found = read_heartbeat(folder)
    assert found is not None
    return found


def test_it_beats_from_the_first_moment_and_goes_on(tmp_path: Path) -> None:
    records = iter(range(100))
    with HeartbeatWriter(tmp_path, "run", lambda: {"records": next(records)}) as heartbeat_writer:
        first = beat(tmp_path)
        assert (first.state, first.records, first.run_id) == (ProgramState.STARTING, 0, "run")
        heartbeat_writer.set_state(ProgramState.RUNNING, "a into b")
        assert (beat(tmp_path).state, beat(tmp_path).detail) == (ProgramState.RUNNING, "a into b")
        until(lambda: beat(tmp_path).records > 2, 10)
        assert beat(tmp_path).written_at > first.written_at
        assert beat(tmp_path).started_at == first.started_at
    assert (beat(tmp_path).state, beat(tmp_path).detail) == (ProgramState.DONE, "")


def test_what_was_counted_stays(tmp_path: Path) -> None:
    with HeartbeatWriter(tmp_path, "") as heartbeat_writer:
        heartbeat_writer.update(records=7)
        heartbeat_writer.set_state(ProgramState.RUNNING)
    assert beat(tmp_path).records == 7


def test_it_beats_again_once_it_can_be_written_again(tmp_path: Path) -> None:
    with HeartbeatWriter(tmp_path, "") as heartbeat_writer:
        (tmp_path / "heartbeat.json").unlink()
        (tmp_path / "heartbeat.json").mkdir()  # what can't be replaced, as on a disk that is full
        until(lambda: (tmp_path / "heartbeat.json.new").exists(), 10)
        (tmp_path / "heartbeat.json").rmdir()
        until(lambda: read_heartbeat(tmp_path), 10)
        assert beat(tmp_path).started_at == heartbeat_writer.heartbeat.started_at


@pytest.mark.parametrize("text", ["", '{"run_id": "a", "sta'])
def test_one_that_was_cut_off_with_its_machine_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "heartbeat.json").write_text(text)
    assert read_heartbeat(tmp_path) is None


def test_it_sees_a_request_to_end(tmp_path: Path) -> None:
    asked = []
    with HeartbeatWriter(tmp_path, "", on_drain=lambda: asked.append(True)):
        request_drain(tmp_path)
        until(lambda: asked, 10)


def test_an_error_is_the_last_thing_it_says(tmp_path: Path) -> None:
    with pytest.raises(KeyError), HeartbeatWriter(tmp_path, ""):
        raise KeyError("open")
    assert (beat(tmp_path).state, beat(tmp_path).detail) == (ProgramState.FAILED, "KeyError: 'open'")


def test_who_has_said_why_it_failed_has_the_last_word(tmp_path: Path) -> None:
    heartbeat_writer = HeartbeatWriter(tmp_path, "")
    with pytest.raises(ValueError, match="y"), heartbeat_writer:
        _fail(heartbeat_writer)
    assert beat(tmp_path).detail == "the file ends in line 8"


def _fail(heartbeat_writer: HeartbeatWriter) -> None:
    heartbeat_writer.set_state(ProgramState.FAILED, "the file ends in line 8")
    raise ValueError("y")
