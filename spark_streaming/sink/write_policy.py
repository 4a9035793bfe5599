"""What to do after each answer of InfluxDB to a write: a pure function."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from spark_streaming.contract.backoff import delay_seconds

LONGEST_BACKOFF_SECONDS = 60.0
_FIRST_BACKOFF_SECONDS = 0.25
# InfluxDB's codes for invalid data, by status. A 400 of another server, such as a proxy, must not reject a bar.
_DATA_ERRORS = {400: "invalid", 422: "unprocessable entity"}


@dataclass(frozen=True)
class WriteResponse:
    """The answer to one request; where none came, `status` is None and `message` the error."""

    status: int | None
    message: str = ""
    code: str = ""  # InfluxDB's own error code
    retry_after: float | None = None  # seconds


class WriteStep(StrEnum):
    """What to do next with the lines."""

    DONE = "done"
    HALVE = "halve"
    REJECT = "reject"
    WAIT = "wait"


@dataclass(frozen=True)
class WriteDecision:
    """A step, and for WAIT how long."""

    step: WriteStep
    seconds: float = 0.0


def decide_write(answer: WriteResponse, lines: int, attempt: int) -> WriteDecision:
    """Return what to do with `lines` lines after `answer`, the outcome of try number `attempt` (from 0).

    A line is rejected only where InfluxDB itself calls the data invalid, and alone: a batch with such an answer
    is halved until the invalid lines are alone. Writing a line again changes nothing. After any other answer the write
    is tried again later: a wrong token or a missing bucket can be corrected, and no line is lost.
    """
    if answer.status == 204:
        return WriteDecision(WriteStep.DONE)
    if answer.status == 413 and lines > 1:
        return WriteDecision(WriteStep.HALVE)
    if answer.status in _DATA_ERRORS and answer.code == _DATA_ERRORS[answer.status]:
        return WriteDecision(WriteStep.HALVE if lines > 1 else WriteStep.REJECT)
    backoff = delay_seconds(attempt + 1, _FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
    return WriteDecision(WriteStep.WAIT, max(answer.retry_after or 0.0, backoff))


def parse_response(status: int, body: bytes, retry_after: str | None, now: datetime) -> WriteResponse:
    """Make an answer from the parts of an HTTP response."""
    try:
        error = json.loads(body) if body else {}
    except ValueError:
        error = {}
    if not isinstance(error, dict):
        error = {}
    message = str(error.get("message") or body.decode(errors="replace"))[:2000]
    return WriteResponse(status, message, str(error.get("code", "")), retry_seconds(retry_after, now))


def retry_seconds(header: str | None, now: datetime) -> float | None:
    """`Retry-After` in seconds, from either of its forms; None where it has none."""
    if not header:
        return None
    if re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]*)?", header):
        return max(0.0, float(header))
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


@dataclass(frozen=True)
class RejectedRecord:
    """A Kafka record whose line InfluxDB rejected; `error` is InfluxDB's message."""

    partition: int
    offset: int
    error: str
