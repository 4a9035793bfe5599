"""State files of every shape: what can't be understood is set aside, and never raises."""

import json
import logging
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.stack import state
from spark_streaming.contract import state_file
from spark_streaming.contract.heartbeat import FeedHeartbeat, Heartbeat, ProgramState, read_heartbeat, write_heartbeat
from spark_streaming.contract.state_file import UnreadableStateError, from_json, read_state, write_state
from spark_streaming.kafka.checkpoint_origin import CheckpointOrigin, read_origin, write_origin

MOMENT = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
HEARTBEAT = Heartbeat(
    "run", 7, ProgramState.RUNNING, MOMENT, MOMENT, 3, 1, {0: 5}, 2, MOMENT, {"plan": 0.5}, "a into b",
    FeedHeartbeat(2, 0, {1: 4}, None, MOMENT, "b into c"),
)  # fmt: skip
WHOLE: dict[str, Any] = {
    "run_id": "run", "pid": 7, "state": "running", "started_at": f"{MOMENT.isoformat()}",
    "written_at": f"{MOMENT.isoformat()}",
}  # fmt: skip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WRONG = {
    "a list": [],
    "a number": 7,
    "text": "running",
    "null": None,
    "no fields": {},
    "a missing field": {name: value for name, value in WHOLE.items() if name != "pid"},
    "a pid that is text": WHOLE | {"pid": "7"},
    "a pid that is a truth": WHOLE | {"pid": True},
    "a pid that is a group of processes": WHOLE | {"pid": -1},
    "a pid that no system has": WHOLE | {"pid": 2**40},
    "an unknown state": WHOLE | {"state": "dreaming"},
    "a state that is a number": WHOLE | {"state": 3},
    "a time without a zone": WHOLE | {"written_at": "2026-11-20T14:30:00"},
    "a time that is a number": WHOLE | {"written_at": 1.5},
    "a time that is none": WHOLE | {"newest_event": "yesterday"},
    "offsets that are a list": WHOLE | {"offsets": [1, 2]},
    "a partition that is no number": WHOLE | {"offsets": {"a": 1}},
    "an offset that is text": WHOLE | {"offsets": {"0": "1"}},
    "a phase that is not finite": WHOLE | {"phases": {"plan": float("inf")}},
    "quotes that are a list": WHOLE | {"quotes": [1]},
    "a lag that is a fraction": WHOLE | {"lag": 1.5},
}
CUT_OFF = {"empty": b"", "half": b'{"run_id": "a", "sta', "no UTF-8": b"\xff\xfe\x00", "deep": b"[" * 100_000}


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_heartbeat_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, HEARTBEAT)
    assert read_heartbeat(tmp_path) == HEARTBEAT
    assert left_over(tmp_path) == ["heartbeat.json"]


def test_what_an_older_version_left_out_has_its_default_and_what_a_newer_one_adds_is_ignored(tmp_path: Path) -> None:
    write_state(tmp_path / "heartbeat.json", json.dumps(WHOLE | {"weather": "fair"}))
    assert read_heartbeat(tmp_path) == Heartbeat("run", 7, ProgramState.RUNNING, MOMENT, MOMENT)


@pytest.mark.parametrize("content", [*(json.dumps(value).encode() for value in WRONG.values()), *CUT_OFF.values()],
                         ids=[*WRONG, *CUT_OFF])  # fmt: skip
def test_what_is_no_heartbeat_is_logged_set_aside_and_made_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "heartbeat.json").write_bytes(content)
    assert read_heartbeat(tmp_path) is None
    assert "heartbeat.json can't be understood" in caplog.text
    assert left_over(tmp_path) == ["heartbeat.json.unreadable"]
    assert (tmp_path / "heartbeat.json.unreadable").read_bytes() == content
    write_heartbeat(tmp_path, HEARTBEAT)
    assert read_heartbeat(tmp_path) == HEARTBEAT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(JSON, st.dictionaries(st.sampled_from([*WHOLE, "offsets", "quotes", "lag", "phases"]), JSON, max_size=3))
def test_no_json_makes_a_reader_raise(tmp_path: Path, value: object, replaced: dict[str, object]) -> None:
    for name, read in (("heartbeat.json", read_heartbeat), ("topic.json", read_origin)):
        for given_value in (value, WHOLE | replaced):
            (tmp_path / name).write_text(json.dumps(given_value))
            read(tmp_path)
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "up.json").write_text(json.dumps(value))
    state.read(tmp_path)


def test_one_that_was_replaced_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer is as fast as can be: it writes between the reading and the setting aside."""
    (tmp_path / "heartbeat.json").write_text("[]")
    parse = state_file.parse_state

    def parse_while_the_writer_writes(*given: Any) -> Any:
        write_heartbeat(tmp_path, HEARTBEAT)
        return parse(*given)

    with monkeypatch.context() as patch:
        patch.setattr(state_file, "parse_state", parse_while_the_writer_writes)
        assert read_heartbeat(tmp_path) is None
    assert read_heartbeat(tmp_path) == HEARTBEAT
    assert left_over(tmp_path) == ["heartbeat.json"]


def test_a_folder_that_can_not_be_written_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "heartbeat.json").write_text("[]")

    def refuse(*_: object, **__: object) -> None:  # root may write everywhere
        raise PermissionError("read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    with caplog.at_level(logging.WARNING):
        assert read_heartbeat(tmp_path) is None
    assert "can't be renamed" in caplog.text


def test_the_origin_of_a_checkpoint_is_made_anew(tmp_path: Path) -> None:
    origin = CheckpointOrigin("one", "http://127.0.0.1:8086 stocks prices", "stock-price-v1")
    write_origin(tmp_path, origin)
    assert read_origin(tmp_path) == origin
    (tmp_path / "topic.json").write_text('{"id": 7}')
    assert read_origin(tmp_path) == CheckpointOrigin()
    assert left_over(tmp_path) == ["topic.json.unreadable"]


def test_the_state_of_up_is_read_back_and_another_shape_is_ignored(tmp_path: Path) -> None:
    running = state.RunningStack(
        7, state.Phase.READY, "replay", "s", "u", (state.ListedService("a", "b", "c"),), "", {"a": 2}
    )
    state.write(tmp_path, running)
    assert state.read(tmp_path) == running
    (state.run_folder(tmp_path) / "up.json").write_text('{"pid": 7, "phase": "ready", "services": [1]}')
    assert state.read(tmp_path) is None
    assert left_over(state.run_folder(tmp_path)) == ["up.json.unreadable"]


@dataclass(frozen=True)
class Nested:
    names: tuple[str, ...] = ()
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)


def test_values_have_the_types_of_the_fields() -> None:
    found = from_json(Nested, {"names": ["a"], "seconds": 3, "counts": {"b": 2}})
    assert found == Nested(("a",), 3.0, {"b": 2})
    assert isinstance(found.seconds, float)
    with pytest.raises(UnreadableStateError, match="'abc' is no tuple"):
        from_json(Nested, {"names": "abc"})


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path / "nowhere" / "state.json", Nested) is None
