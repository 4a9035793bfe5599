"""What makes a bar message valid, defined once.

`rejection_reason` is the rule for one message. A call of it for each message would cost too much, so the stream first
recognises ordinary messages with Arrow's functions (`spark_streaming.parse.bars`), and applies the rule to the others.
Both use the limits and patterns below, and are tested with one file of cases. The patterns describe the whole of what
they match, and mean the same to Python's `re` and to RE2, which Arrow uses.
"""

import json
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Any

from spark_streaming.contract.schema import PRICE_FIELDS, VOLUME_FIELD, MarketPhase

MAX_VALUE_BYTES = 16 * 1024  # a bar takes some 170; what is longer is not parsed
MAX_SYMBOL_CHARACTERS = 64
MAX_VOLUME = 2**53 - 1  # beyond it JSON numbers are not exact everywhere (RFC 8259, section 6)
MAX_NUMBER_DIGITS = 1000  # converting a longer one takes time that grows with its length
MAX_NESTING = 100  # Python's own limit depends on the depth of the caller; the result must not
AHEAD_SECONDS = 24 * 3600  # how far a bar's time may be ahead of the clock
# A feed that rounds to 32-bit floats may put a high 6e-8 below the close that made it.
PRICE_TOLERANCE = 1e-6

TEXT_FIELDS = ("symbol", "timestamp", "interval")
FIELDS = (*TEXT_FIELDS, *PRICE_FIELDS, VOLUME_FIELD)

TIMESTAMP_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
INTERVAL_PATTERN = r"[1-9][0-9]{0,3}(?:s|m|h|d|wk|mo)"

_SPACE = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
# No control characters or line ends, no space around, no backslash at the end: InfluxDB refuses the point, or it
# could not be distinguished from another symbol.
SYMBOL_PATTERN = rf"[^{_SPACE}\\]|[^{_SPACE}][^{_CONTROL}]{{0,{MAX_SYMBOL_CHARACTERS - 2}}}[^{_SPACE}\\]"
_FORBIDDEN_IN_SYMBOL = re.compile(rf"[{_CONTROL}\ud800-\udfff]")
_TEXT_OF_JSON = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Reason(StrEnum):
    """Why a message is rejected, in the order of the checks: the first that applies is the reason."""

    NO_VALUE = "no-value"
    VALUE_TOO_LARGE = "value-too-large"
    NOT_UTF8 = "not-utf8"
    NUMBER_NOT_FINITE = "number-not-finite"
    NUMBER_TOO_LONG = "number-too-long"
    NESTED_TOO_DEEP = "nested-too-deep"
    NOT_JSON = "not-json"
    NOT_AN_OBJECT = "not-an-object"
    DUPLICATE_FIELD = "duplicate-field"
    MISSING_FIELD = "missing-field"
    NULL_FIELD = "null-field"
    NUMBER_AS_TEXT = "number-as-text"
    WRONG_TYPE = "wrong-type"
    SYMBOL_EMPTY = "symbol-empty"
    SYMBOL_TOO_LONG = "symbol-too-long"
    SYMBOL_FORBIDDEN_CHARACTER = "symbol-forbidden-character"
    SYMBOL_SPACE_AROUND = "symbol-space-around"
    SYMBOL_BACKSLASH_AT_END = "symbol-backslash-at-end"
    NO_KEY = "no-key"
    KEY_IS_NOT_SYMBOL = "key-is-not-symbol"
    INTERVAL_UNKNOWN = "interval-unknown"
    TIMESTAMP_MALFORMED = "timestamp-malformed"
    TIMESTAMP_BEFORE_1970 = "timestamp-before-1970"
    TIMESTAMP_IN_FUTURE = "timestamp-in-future"
    PRICE_NOT_POSITIVE = "price-not-positive"
    HIGH_TOO_LOW = "high-too-low"
    LOW_TOO_HIGH = "low-too-high"
    VOLUME_NEGATIVE = "volume-negative"
    VOLUME_NOT_WHOLE = "volume-not-whole"
    VOLUME_TOO_LARGE = "volume-too-large"
    MARKET_PHASE_UNKNOWN = "market-phase-unknown"  # of a quote
    # Not from `rejection_reason`: the stream or the database rejected the message.
    REFUSED_BY_STREAM = "refused-by-stream"
    REFUSED_BY_DATABASE = "refused-by-database"

    @property
    def meaning(self) -> str:
        """A sentence for the reader of a dead letter."""
        return _MEANINGS[self]


class RejectedError(Exception):
    """Ends a check: `args[0]` is the `Reason`."""


def rejection_reason(key: bytes | None, value: bytes | None, now: datetime) -> Reason | None:
    """Return why the message of `key` and `value` is rejected; None where it is valid.

    `now` is what "a day ahead" is measured from, in UTC. The stream passes the Kafka record's own time, so that the
    result for a record is the same whenever it is read.
    """
    try:
        bar = read_fields(value, FIELDS, TEXT_FIELDS)
        check_symbol(bar["symbol"], key)
        if not re.fullmatch(INTERVAL_PATTERN, bar["interval"]):
            raise RejectedError(Reason.INTERVAL_UNKNOWN)
        check_time(bar["timestamp"], TIMESTAMP_PATTERN, now)
        _check_numbers(bar)
    except RejectedError as error:
        reason: Reason = error.args[0]
        return reason
    return None


def read_fields(
    value: bytes | None, names: Sequence[str], texts: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return the fields `names` of a message, of the right types: those in `texts` as str, the others as float.

    Raises:
        RejectedError: one that is not in `optional` is missing, or one is not what it must be.
    """
    if value is None:
        raise RejectedError(Reason.NO_VALUE)
    if len(value) > MAX_VALUE_BYTES:
        raise RejectedError(Reason.VALUE_TOO_LARGE)
    pairs = _outermost_pairs(value)
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RejectedError(Reason.DUPLICATE_FIELD)
    for name in names:
        if name not in found:
            if name in optional:
                continue
            raise RejectedError(Reason.MISSING_FIELD)
        if found[name] is None:
            raise RejectedError(Reason.NULL_FIELD)
        if name not in texts:
            found[name] = _number(found[name])
        elif not isinstance(found[name], str):
            raise RejectedError(Reason.WRONG_TYPE)
    return found


def _outermost_pairs(value: bytes) -> list[tuple[str, Any]]:
    outermost: list[tuple[str, Any]] = []

    def remember(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        outermost[:] = pairs  # the outermost object is the last to be complete
        return dict(pairs)

    try:
        text = value.decode()
        if _nesting(text) > MAX_NESTING:
            raise RejectedError(Reason.NESTED_TOO_DEEP)
        message = json.loads(
            text, object_pairs_hook=remember, parse_int=_read, parse_float=_read, parse_constant=_not_finite
        )
    except UnicodeDecodeError:
        raise RejectedError(Reason.NOT_UTF8) from None
    except ValueError:
        raise RejectedError(Reason.NOT_JSON) from None
    if not isinstance(message, dict):
        raise RejectedError(Reason.NOT_AN_OBJECT)
    return outermost


def _nesting(text: str) -> int:
    """How many arrays and objects are open at once, at most; where there are few, the number of all of them."""
    opened = text.count("[") + text.count("{")
    if opened <= MAX_NESTING:
        return opened
    depths = accumulate((c in "[{") - (c in "]}") for c in _TEXT_OF_JSON.sub("", text))
    return max(depths, default=0)


def _read(digits: str) -> float:
    if sum(character.isdigit() for character in digits) > MAX_NUMBER_DIGITS:
        raise RejectedError(Reason.NUMBER_TOO_LONG)
    return float(digits)


def _not_finite(constant: str) -> float:
    raise RejectedError(Reason.NUMBER_NOT_FINITE)


def _number(value: object) -> float:
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            raise RejectedError(Reason.NUMBER_NOT_FINITE)  # 1e400 and the like
        return value
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            raise RejectedError(Reason.WRONG_TYPE) from None
        raise RejectedError(Reason.NUMBER_AS_TEXT)
    raise RejectedError(Reason.WRONG_TYPE)


def check_symbol(symbol: str, key: bytes | None) -> None:
    """Raise RejectedError where InfluxDB can't hold the symbol, or the record's key is another."""
    if not re.fullmatch(SYMBOL_PATTERN, symbol) or _FORBIDDEN_IN_SYMBOL.search(symbol):
        raise RejectedError(_symbol_reason(symbol))
    if key is None:
        raise RejectedError(Reason.NO_KEY)
    if key != symbol.encode():
        raise RejectedError(Reason.KEY_IS_NOT_SYMBOL)


def _symbol_reason(symbol: str) -> Reason:
    if not symbol:
        return Reason.SYMBOL_EMPTY
    if len(symbol) > MAX_SYMBOL_CHARACTERS:
        return Reason.SYMBOL_TOO_LONG
    if _FORBIDDEN_IN_SYMBOL.search(symbol):
        return Reason.SYMBOL_FORBIDDEN_CHARACTER
    return Reason.SYMBOL_BACKSLASH_AT_END if symbol.endswith("\\") else Reason.SYMBOL_SPACE_AROUND


def check_time(text: str, pattern: str, now: datetime) -> None:
    """Raise RejectedError where a time does not match `pattern`, is before 1970 or a day after `now`."""
    try:
        if not re.fullmatch(pattern, text):
            raise RejectedError(Reason.TIMESTAMP_MALFORMED)
        time = datetime.fromisoformat(text)
    except ValueError:
        raise RejectedError(Reason.TIMESTAMP_MALFORMED) from None
    if time < datetime.fromtimestamp(0, UTC):
        raise RejectedError(Reason.TIMESTAMP_BEFORE_1970)
    if time > now + timedelta(seconds=AHEAD_SECONDS):
        raise RejectedError(Reason.TIMESTAMP_IN_FUTURE)


def check_volume(volume: float) -> None:
    """Raise RejectedError where `volume` is no number of shares."""
    _reject_first(
        (Reason.VOLUME_NEGATIVE, volume < 0),
        (Reason.VOLUME_NOT_WHOLE, volume != volume // 1),
        (Reason.VOLUME_TOO_LARGE, volume > MAX_VOLUME),
    )


def _check_numbers(bar: dict[str, Any]) -> None:
    opened, high, low, close = (bar[name] for name in PRICE_FIELDS)
    _reject_first(
        (Reason.PRICE_NOT_POSITIVE, min(opened, high, low, close) <= 0),
        (Reason.HIGH_TOO_LOW, high < max(opened, low, close) * (1 - PRICE_TOLERANCE)),
        (Reason.LOW_TOO_HIGH, low > min(opened, high, close) * (1 + PRICE_TOLERANCE)),
    )
    check_volume(bar[VOLUME_FIELD])


def _reject_first(*rules: tuple[Reason, bool]) -> None:
    for reason, applies in rules:
        if applies:
            raise RejectedError(reason)


_MEANINGS = {
    Reason.NO_VALUE: "The record has no value.",
    Reason.VALUE_TOO_LARGE: f"The value is longer than {MAX_VALUE_BYTES} bytes.",
    Reason.NOT_UTF8: "The value is not UTF-8 text.",
    Reason.NUMBER_NOT_FINITE: "A number is NaN, infinite, or too large for 64 bits.",
    Reason.NUMBER_TOO_LONG: f"A number has more than {MAX_NUMBER_DIGITS} digits.",
    Reason.NESTED_TOO_DEEP: f"The JSON has more than {MAX_NESTING} arrays and objects inside each other.",
    Reason.NOT_JSON: "The value is not one JSON document.",
    Reason.NOT_AN_OBJECT: "The value is JSON, but no object.",
    Reason.DUPLICATE_FIELD: "A field stands in the object twice.",
    Reason.MISSING_FIELD: f"A field is missing; a bar has {', '.join(FIELDS)}, a quote symbol, timestamp and price.",
    Reason.NULL_FIELD: "A field is null.",
    Reason.NUMBER_AS_TEXT: "A number stands in quotes.",
    Reason.WRONG_TYPE: "A field has a value of the wrong type.",
    Reason.SYMBOL_EMPTY: "The symbol is empty.",
    Reason.SYMBOL_TOO_LONG: f"The symbol has more than {MAX_SYMBOL_CHARACTERS} characters.",
    Reason.SYMBOL_FORBIDDEN_CHARACTER: "The symbol has a line end, a control character or half a character.",
    Reason.SYMBOL_SPACE_AROUND: "The symbol begins or ends with a space.",
    Reason.SYMBOL_BACKSLASH_AT_END: "The symbol ends in a backslash, which InfluxDB can't store in a tag.",
    Reason.NO_KEY: "The record has no key; it must be the symbol.",
    Reason.KEY_IS_NOT_SYMBOL: "The record's key is not its symbol.",
    Reason.INTERVAL_UNKNOWN: "The interval is not a number and one of s, m, h, d, wk, mo.",
    Reason.TIMESTAMP_MALFORMED: "The timestamp is not a time written as 2026-11-20T14:30:00Z, or with .123 in a quote.",
    Reason.TIMESTAMP_BEFORE_1970: "The timestamp is before 1970.",
    Reason.TIMESTAMP_IN_FUTURE: "The timestamp is more than a day after the message was sent.",
    Reason.PRICE_NOT_POSITIVE: "A price is zero or negative.",
    Reason.HIGH_TOO_LOW: "The high is below another price of the bar.",
    Reason.LOW_TOO_HIGH: "The low is above another price of the bar.",
    Reason.VOLUME_NEGATIVE: "The volume is negative.",
    Reason.VOLUME_NOT_WHOLE: "The volume is not a whole number.",
    Reason.VOLUME_TOO_LARGE: f"The volume is above {MAX_VOLUME}.",
    Reason.MARKET_PHASE_UNKNOWN: f"The market's phase is none of {', '.join(MarketPhase)}.",
    Reason.REFUSED_BY_STREAM: "The stream could not read it, though no rule says why; this is a fault of the stream.",
    Reason.REFUSED_BY_DATABASE: "InfluxDB refused the point.",
}
