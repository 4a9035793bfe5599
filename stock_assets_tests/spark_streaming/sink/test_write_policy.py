from datetime import UTC, datetime

import pytest

from spark_streaming.sink.write_policy import (
    WriteDecision,
    WriteResponse,
    WriteStep,
    decide_write,
    parse_response,
    retry_seconds,
)

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
GUILTY = [WriteResponse(400, code="invalid"), WriteResponse(422, code="unprocessable entity")]


def test_stored_is_done() -> None:
    assert decide_write(WriteResponse(204), 5000, 0).step is WriteStep.DONE


@pytest.mark.parametrize("answer", GUILTY, ids=lambda answer: answer.status)
def test_a_refused_batch_is_halved_until_the_invalid_line_is_alone(answer: WriteResponse) -> None:
    assert decide_write(answer, 5000, 0).step is WriteStep.HALVE
    assert decide_write(answer, 2, 3).step is WriteStep.HALVE
    assert decide_write(answer, 1, 0).step is WriteStep.REJECT


def test_too_large_is_split() -> None:
    assert decide_write(WriteResponse(413), 5000, 0).step is WriteStep.HALVE


def test_one_line_that_is_too_large_for_a_proxy_is_no_fault_of_the_line() -> None:
    assert decide_write(WriteResponse(413), 1, 0).step is WriteStep.WAIT


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_that_is_not_influxdbs_own_costs_no_line(status: int) -> None:
    assert decide_write(WriteResponse(status, "<html>Bad Request"), 1, 0).step is WriteStep.WAIT


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 405, 408, 429, 500, 502, 503, 504, None])
def test_all_else_is_kept_and_tried_again(status: int | None) -> None:
    assert decide_write(WriteResponse(status), 1, 0).step is WriteStep.WAIT


def test_the_wait_doubles_up_to_a_minute() -> None:
    waits = [decide_write(WriteResponse(503), 5000, attempt).seconds for attempt in range(12)]
    assert waits[:3] == [0.25, 0.5, 1.0]
    assert waits == sorted(waits)
    assert waits[-1] == decide_write(WriteResponse(503), 5000, 10_000).seconds == 60.0


def test_the_server_may_ask_for_a_longer_wait_but_for_no_hot_loop() -> None:
    assert decide_write(WriteResponse(429, retry_after=120.0), 5000, 0) == WriteDecision(WriteStep.WAIT, 120.0)
    assert decide_write(WriteResponse(429, retry_after=0.0), 5000, 0) == WriteDecision(WriteStep.WAIT, 0.25)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("30", 30.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Fri, 20 Nov 2026 14:31:30 GMT", 90.0),
        ("Fri, 20 Nov 2026 14:29:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_in_both_its_forms(header: str | None, seconds: float | None) -> None:
    assert retry_seconds(header, NOW) == seconds


def test_influxdbs_error_is_read() -> None:
    answer = parse_response(422, b'{"code": "unprocessable entity", "message": "field type conflict"}', None, NOW)
    assert answer == WriteResponse(422, "field type conflict", "unprocessable entity")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff", b'"text"', b""])
def test_a_body_that_is_not_influxdbs_is_quoted(body: bytes) -> None:
    answer = parse_response(502, body, None, NOW)
    assert answer.code == ""
    assert answer.message == body.decode(errors="replace")
