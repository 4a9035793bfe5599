"""Kafka's records to lines of line protocol, many at once.

`validity.rejection_reason` is the rule for one message, and takes some 20 µs. So messages that are written as the
platform's producer writes them are recognised first by Arrow's functions, in 1 µs: the value matches one pattern from
its first to its last byte, and its numbers keep the rules. The rule is applied to the others, one by one.

No message may raise an error here: a batch that fails on one would fail on it forever. The result may not depend on the
time of day either: a batch is read a second time where it holds something to reject.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from spark_streaming.contract import validity
from spark_streaming.contract.schema import PRICE_FIELDS, VOLUME_FIELD
from spark_streaming.contract.validity import Reason
from spark_streaming.parse import line_protocol

log = logging.getLogger(__name__)

# key, value and own time of a record -> why it is rejected; None where it is valid
Rule = Callable[[bytes | None, bytes | None, datetime], Reason | None]

# Spark's expressions for the part of a record that Python gets: as much as decides, and never a megabyte a message.
_KEY_BYTES = 4 * validity.MAX_SYMBOL_CHARACTERS
BOUNDED = tuple(
    f"CASE WHEN octet_length({name}) <= {limit} THEN {name} ELSE substring({name}, 1, {limit + 1}) END AS {name}"
    for name, limit in (("key", _KEY_BYTES), ("value", validity.MAX_VALUE_BYTES))
)

# Within what `validity` allows. No part holds a quote, so the value can be split at them.
_PRICE = r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,17})?"
_DAY = (  # of every year: casting one that doesn't exist raises an error
    "(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31"
)
_PATTERNS = {
    "symbol": r'"[A-Za-z0-9.^=_:/+-]{1,64}"',
    "timestamp": rf'"[12][0-9]{{3}}-(?:{_DAY})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"',
    "interval": rf'"{validity.INTERVAL_PATTERN}"',
    **dict.fromkeys(PRICE_FIELDS, _PRICE),
    VOLUME_FIELD: r"(?:0|[1-9][0-9]{0,14})",
}
_PLAIN = r"\A\{" + ", ?".join(f'"{name}": ?{pattern}' for name, pattern in _PATTERNS.items()) + r"\}\z"
# Where a field's value is among the parts of a value that is split at its quotes: {, name, : , value, , , name, …
_TEXT_AT = {name: 4 * number + 3 for number, name in enumerate(validity.TEXT_FIELDS)}
_NUMBER_AT = {name: 2 * number + 14 for number, name in enumerate((*PRICE_FIELDS, VOLUME_FIELD))}


def to_lines(keys: pa.Array, values: pa.Array, sent: pa.Array, measurement: str) -> tuple[pa.Array, pa.Array]:
    """Return the line of each record (string, null where the message is not valid) and its time in seconds since 1970.

    Args:
        keys: of the records, binary.
        values: of the records, binary. What is longer than `validity.MAX_VALUE_BYTES` may be cut anywhere after that.
        sent: the records' own time, with a time zone.
        measurement: of InfluxDB.
    """
    plain = pc.fill_null(pc.match_substring_regex(values, _PLAIN), False)
    if pc.all(plain).as_py():
        lines, times = _fast_lines(keys, values, sent, measurement)
    else:
        found = _fast_lines(keys.filter(plain), values.filter(plain), sent.filter(plain), measurement)
        lines, times = (_spread(column, plain) for column in found)
    if lines.null_count == 0:
        return lines, times
    return _apply_slow_rules(lines, times, keys, values, sent, measurement)


def bar_lines(records: pa.RecordBatch, measurement: str) -> tuple[pa.Array, pa.Array]:
    """`to_lines` of Kafka's records of bars."""
    keys, values, sent = (records.column(name) for name in ("key", "value", "timestamp"))
    return to_lines(keys, values, sent, measurement)


def rejection_reasons(keys: pa.Array, values: pa.Array, sent: pa.Array) -> pa.Array:
    """Return the text of the `Reason` why each message is rejected; null where it is valid."""
    lines, _ = to_lines(keys, values, sent, "m")
    reasons: list[str | None] = [None] * len(lines)
    for index in pc.indices_nonzero(pc.is_null(lines)).to_pylist():
        reasons[index] = str(
            apply_rule(validity.rejection_reason, keys[index].as_py(), values[index].as_py(), sent[index].as_py())
        )
    return pa.array(reasons, pa.string())


def _fast_lines(keys: pa.Array, values: pa.Array, sent: pa.Array, measurement: str) -> tuple[pa.Array, pa.Array]:
    """Lines and times of values that match `_PLAIN`; null where another rule is broken, or may be."""
    parts = pc.split_pattern(values, b'"')
    columns = {name: pc.list_element(parts, at).cast(pa.string()) for name, at in _TEXT_AT.items()}
    for name, at in _NUMBER_AT.items():
        columns[name] = pc.ascii_trim(pc.list_element(parts, at).cast(pa.string()), ": ,}")
    times = columns.pop("timestamp").cast(pa.timestamp("s", "UTC")).cast(pa.int64())
    columns["time"] = times.cast(pa.string())
    opened, high, low, close = (columns[name].cast(pa.float64()) for name in PRICE_FIELDS)
    newest = pc.add(sent.cast(pa.timestamp("s", "UTC"), safe=False).cast(pa.int64()), validity.AHEAD_SECONDS)
    rules = (
        pc.equal(keys, columns["symbol"].cast(pa.binary())),
        pc.and_(pc.greater_equal(times, 0), pc.less_equal(times, newest)),
        pc.greater(pc.min_element_wise(opened, high, low, close), 0.0),
        pc.greater_equal(high, pc.multiply(pc.max_element_wise(opened, low, close), 1 - validity.PRICE_TOLERANCE)),
        pc.less_equal(low, pc.multiply(pc.min_element_wise(opened, high, close), 1 + validity.PRICE_TOLERANCE)),
    )
    kept = rules[0]
    for rule in rules[1:]:
        kept = pc.and_(kept, rule)
    lines = line_protocol.lines(measurement, columns)
    if pc.all(kept, skip_nulls=False).as_py():
        return lines, times
    return pc.if_else(pc.fill_null(kept, False), lines, None), times


def _spread(column: pa.Array, chosen: pa.Array) -> pa.Array:
    """The values of `column` where `chosen` is true, in their order, and null where it is not."""
    return pc.replace_with_mask(pa.nulls(len(chosen), column.type), chosen, column)


def _apply_slow_rules(
    lines: pa.Array, times: pa.Array, keys: pa.Array, values: pa.Array, sent: pa.Array, measurement: str
) -> tuple[pa.Array, pa.Array]:
    """`lines` and `times` with those values that were null, where the rule finds the message valid."""
    unknown = pc.is_null(lines)
    remaining = [column.filter(unknown).to_pylist() for column in (keys, values, sent)]
    found = [_line(key, value, at, measurement) for key, value, at in zip(*remaining, strict=True)]
    more_lines = pa.array([line for line, _ in found], pa.string())
    more_times = pa.array([time for _, time in found], pa.int64())
    return pc.replace_with_mask(lines, unknown, more_lines), pc.replace_with_mask(times, unknown, more_times)


def _line(
    key: bytes | None, value: bytes | None, sent: datetime, measurement: str
) -> tuple[str, int] | tuple[None, None]:
    if apply_rule(validity.rejection_reason, key, value, sent) is not None:
        return None, None
    bar = json.loads(value or b"")
    time = int(datetime.fromisoformat(bar["timestamp"]).timestamp())
    return line_protocol.line(measurement, bar, time), time


def apply_rule(rule: Rule, key: bytes | None, value: bytes | None, sent: datetime) -> Reason | None:
    """Return the result of a rule for a message, which is rejected where the rule raises an error."""
    try:
        return rule(key, value, sent)
    except Exception:  # else this message would stop the stream forever
        log.exception("the rule failed on the message of key %r, which is dead-lettered", key)
        return Reason.REFUSED_BY_STREAM
