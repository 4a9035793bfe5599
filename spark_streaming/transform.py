"""Kafka's records to lines of line protocol; whether a message is valid is decided here, inside the JVM.

The rules are those of `spark_streaming.contract.validity`; a file of shared cases holds both to the same verdicts.
Nothing here may throw because of a message: a batch that fails on one would fail on it forever. Nothing may depend on
the time of the day either: a batch is read a second time where it holds something to refuse.
"""

from pyspark.sql import DataFrame

from spark_streaming.contract import validity
from spark_streaming.contract.schema import PRICE_FIELDS, VOLUME_FIELD
from spark_streaming.line_protocol import line, sql_text

_NUMBERS = (*PRICE_FIELDS, VOLUME_FIELD)


def with_lines(records: DataFrame, measurement: str) -> DataFrame:
    """The records with two more columns: time bigint (seconds since 1970) and line string.

    The line is null where, and only where, the message is not valid.

    Args:
        records: of Spark's Kafka source: key, value, timestamp and whatever else.
        measurement: of InfluxDB.
    """
    kept = [f"`{name}`" for name in records.columns]
    columns = {name: f"bar.{name}" for name in (*validity.TEXT_FIELDS, *PRICE_FIELDS)}
    text = line(measurement, {**columns, VOLUME_FIELD: f"CAST(bar.{VOLUME_FIELD} AS bigint)", "time": "time"})
    rules = " AND ".join(f"({rule})" for rule in _RULES)
    return (
        records.selectExpr("*", f"{_TEXT} AS text")
        .selectExpr("*", f"{_PARSED} AS parsed")
        .selectExpr("*", f"{_ONLY_DOCUMENT} AS bar")
        .selectExpr("*", f"{_TIME} AS time")
        .selectExpr(*kept, "time", f"CASE WHEN {rules} THEN {text} END AS line")
    )


def _whole(pattern: str) -> str:
    return sql_text(f"\\A(?:{pattern})\\z")


# Null where the value is not worth parsing.
_TEXT = (
    f"CASE WHEN octet_length(value) <= {validity.MAX_VALUE_BYTES} AND is_valid_utf8(CAST(value AS string)) "
    "THEN CAST(value AS string) END"
)

# Spark stops reading after the first JSON value, so `{…} rubbish` would pass. Hence the value is read as the first of
# two elements; the second holds a checksum of the value, so that no value can close the array by itself.
# The volume is read as a double: integral floats (48210.0) are valid, and whole numbers up to MAX_VOLUME are exact.
_BAR = ", ".join([f"{name} string" for name in validity.TEXT_FIELDS] + [f"{name} double" for name in _NUMBERS])
_PARSED = (
    f"from_json(concat('[', text, ',{{\"checksum\":', xxhash64(text), '}}]'), "
    f"'array<struct<{_BAR}, checksum bigint>>', "
    "map('allowSingleQuotes', 'false', 'allowNonNumericNumbers', 'false'))"  # Jackson's leniencies
)
_ONLY_DOCUMENT = "CASE WHEN size(parsed) = 2 AND get(parsed, 1).checksum = xxhash64(text) THEN get(parsed, 0) END"

_TIME = (
    f"CASE WHEN bar.timestamp RLIKE {_whole(validity.TIMESTAMP_PATTERN)} "
    "THEN unix_seconds(try_cast(bar.timestamp AS timestamp)) END"
)

_PRICES = ", ".join(f"bar.{name}" for name in PRICE_FIELDS)
_VOLUME = f"bar.{VOLUME_FIELD}"
_RULES = (
    f"bar.symbol RLIKE {_whole(validity.SYMBOL_PATTERN)}",
    "key = CAST(bar.symbol AS binary)",
    f"bar.interval RLIKE {_whole(validity.INTERVAL_PATTERN)}",
    f"time BETWEEN 0 AND unix_seconds(timestamp) + {validity.AHEAD_SECONDS}",
    f"least({_PRICES}) > 0 AND greatest({_PRICES}) <= 1.7976931348623157E308D",  # so not infinite
    f"bar.high >= greatest(bar.open, bar.low, bar.close) * {1 - validity.PRICE_TOLERANCE!r}D",
    f"bar.low <= least(bar.open, bar.high, bar.close) * {1 + validity.PRICE_TOLERANCE!r}D",
    f"{_VOLUME} BETWEEN 0 AND {validity.MAX_VOLUME} AND {_VOLUME} = floor({_VOLUME})",
    # Of a field that stands there twice Spark takes the last that is readable.
    "size(json_object_keys(text)) = size(array_distinct(json_object_keys(text)))",
    # Spark makes text of numbers, booleans, objects and arrays; only what could be one of them is looked at again.
    "NOT bar.symbol RLIKE '^[-0-9tf\\\\[{]' OR "
    "schema_of_variant(try_variant_get(try_parse_json(text), '$.symbol', 'variant')) = 'STRING'",
    # Spark makes a question mark of half a surrogate pair.
    "NOT contains(bar.symbol, '?') OR NOT text RLIKE '\\\\\\\\u[dD][89a-fA-F]'",
)
