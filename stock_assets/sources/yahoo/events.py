"""Finds unusable splits and dividends in the JSON of a chart. Pure."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from stock_assets.sources.yahoo.errors import storable_text

_LONGEST_VALUE = 40  # in a message, in characters


def drop_unusable_events(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a chart's JSON without unusable splits and dividends, and a description of each of them.

    An event is unusable without a date, or if its value is not a finite number above zero: yfinance ignores a split of
    zero, and fails on one that is not a number. Other content is returned unchanged.
    """
    if b'"splits"' not in content and b'"dividends"' not in content:  # the usual case: it saves parsing
        return content, ()
    try:
        chart = json.loads(content)
        events = chart["chart"]["result"][0]["events"]
        dropped = _drop(events, "splits", _split) + _drop(events, "dividends", _dividend)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # not a chart: yfinance raises the error
        return content, ()
    return (json.dumps(chart).encode(), tuple(map(storable_text, dropped))) if dropped else (content, ())


def _drop(events: dict[str, Any], name: str, read: Callable[[dict[str, Any]], tuple[str, object]]) -> list[str]:
    """Delete the unusable events of a kind; returns their descriptions."""
    dropped = []
    for key, event in list(events.get(name, {}).items()):
        description, value = read(event)
        day = _day(event.get("date"))
        if day is None or not _is_usable(value):
            del events[name][key]
            dropped.append(f"{description} on {day or str(event.get('date'))[:_LONGEST_VALUE]}")
    return dropped


def _split(event: dict[str, Any]) -> tuple[str, object]:
    new: Any = event.get("numerator")
    old: Any = event.get("denominator")
    description = f"split {str(new)[:_LONGEST_VALUE]}:{str(old)[:_LONGEST_VALUE]}"
    try:
        return description, new / old
    except (ArithmeticError, TypeError):
        return description, None


def _dividend(event: dict[str, Any]) -> tuple[str, object]:
    amount = event.get("amount")
    return f"dividend of {str(amount)[:_LONGEST_VALUE]}", amount


def _is_usable(value: object) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value) and value > 0
    except OverflowError:  # an integer too large for a float
        return False


def _day(seconds: object) -> str | None:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"  # type: ignore[arg-type]
    except (ValueError, OverflowError, OSError, TypeError):
        return None
