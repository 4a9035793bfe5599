"""Bars and quotes to InfluxDB's line protocol.

A line ends in a newline. So the value buffer of an Arrow array of lines is a request body as it stands, and the sink
posts it without touching a row.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spark_streaming.contract.schema import (
    PRICE_FIELDS,
    QUOTE_FLOATS,
    QUOTE_INTEGERS,
    QUOTE_TAGS,
    QUOTE_TEXT,
    TAGS,
    VOLUME_FIELD,
)

_ESCAPED = ",= "  # what InfluxDB wants a backslash before in a tag


def line(measurement: str, bar: Mapping[str, Any], time: int) -> str:
    """Return the line of one valid bar, `time` in seconds since 1970."""
    tags = "".join(f",{tag}={_escaped(bar[tag])}" for tag in TAGS)
    prices = ",".join(f"{name}={float(bar[name])!r}" for name in PRICE_FIELDS)
    return f"{_measurement(measurement)}{tags} {prices},{VOLUME_FIELD}={int(bar[VOLUME_FIELD])}i {time}\n"


def quote_line(measurement: str, quote: Mapping[str, Any], time: int) -> str:
    """Return the line of one valid quote, `time` in nanoseconds since 1970; fields that it lacks are left out."""
    tags = "".join(f",{tag}={_escaped(quote[tag])}" for tag in QUOTE_TAGS)
    fields = [f"{name}={float(quote[name])!r}" for name in QUOTE_FLOATS if name in quote]
    fields += [f"{name}={int(quote[name])}i" for name in QUOTE_INTEGERS if name in quote]
    if QUOTE_TEXT in quote:
        fields.append(f'{QUOTE_TEXT}="{quote[QUOTE_TEXT]}"')  # one of a few words: needs no escape
    return f"{_measurement(measurement)}{tags} {','.join(fields)} {time}\n"


def lines(measurement: str, columns: Mapping[str, pa.Array]) -> pa.Array:
    """Return the lines of many bars.

    Args:
        measurement: the measurement's name, as it is to read in InfluxDB.
        columns: the text of each tag, of each price and of the volume as JSON has it (InfluxDB reads the same number
            from it), and of `time` in seconds since 1970. None may be null; of what must be escaped in a tag, only an
            equals sign may be there.
    """
    parts: list[str | pa.Array] = [_measurement(measurement)]
    for tag in TAGS:
        text = columns[tag]
        if pc.any(pc.match_substring(text, "=")).as_py():  # as in EURUSD=X
            text = pc.replace_substring(text, "=", "\\=")
        parts += [f",{tag}=", text]
    separator = " "
    for name in PRICE_FIELDS:
        parts += [f"{separator}{name}=", columns[name]]
        separator = ","
    parts += [f",{VOLUME_FIELD}=", columns[VOLUME_FIELD], "i ", columns["time"], "\n"]
    return pc.binary_join_element_wise(*parts, "")


def _escaped(tag: str) -> str:
    for character in _ESCAPED:
        tag = tag.replace(character, f"\\{character}")
    return tag


def _measurement(name: str) -> str:
    return name.replace(",", "\\,").replace(" ", "\\ ")
