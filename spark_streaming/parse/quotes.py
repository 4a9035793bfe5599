"""Kafka's records of quotes to lines of line protocol, one by one: 22 µs each, and quotes are some thousand a second.

A point is identified by its series and its time, and a quote's time is in milliseconds: two ticks of one symbol in one
millisecond would be one point, the later one's. So a record's offset, modulo a million, is what its point has below the
millisecond. That is right because
- a symbol lies in one partition, where no two records have one offset: two ticks of a millisecond would have to be a
  million records apart to become one point;
- an offset stays with its record, so that a replay writes the same points again, whenever and in whatever batches;
- it keeps the order of the ticks within their millisecond (but where a million is full between two of them).
"""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from spark_streaming.contract.quote_validity import quote_rejection_reason
from spark_streaming.parse import line_protocol
from spark_streaming.parse.bars import apply_rule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NANOSECONDS = 1_000_000  # of a millisecond


def quote_lines(records: pa.RecordBatch, measurement: str) -> tuple[pa.Array, pa.Array]:
    """Return the line of each record, null where the quote is not valid, and its time in seconds since 1970."""
    keys, values, sent, offsets = (records.column(name).to_pylist() for name in ("key", "value", "timestamp", "offset"))
    found = [
        _line(key, value, at, offset, measurement)
        for key, value, at, offset in zip(keys, values, sent, offsets, strict=True)
    ]
    return pa.array([line for line, _ in found], pa.string()), pa.array([time for _, time in found], pa.int64())


def quote_rejection_reasons(keys: pa.Array, values: pa.Array, sent: pa.Array) -> pa.Array:
    """Return the text of the `Reason` why each message is rejected; null where it is valid."""
    records = zip(keys.to_pylist(), values.to_pylist(), sent.to_pylist(), strict=True)
    reasons = (apply_rule(quote_rejection_reason, key, value, at) for key, value, at in records)
    return pa.array([None if reason is None else str(reason) for reason in reasons], pa.string())


def nanoseconds(timestamp: str, offset: int) -> int:
    """Return the time of a quote's point, in nanoseconds since 1970: see above."""
    milliseconds = (datetime.fromisoformat(timestamp) - _EPOCH) // _MILLISECOND
    return milliseconds * _NANOSECONDS + offset % _NANOSECONDS


def _line(
    key: bytes | None, value: bytes | None, sent: datetime, offset: int, measurement: str
) -> tuple[str, int] | tuple[None, None]:
    if apply_rule(quote_rejection_reason, key, value, sent) is not None:
        return None, None
    quote = json.loads(value or b"")
    time = nanoseconds(quote["timestamp"], offset)
    return line_protocol.quote_line(measurement, quote, time), time // 10**9
