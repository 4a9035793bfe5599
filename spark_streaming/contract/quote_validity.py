"""What makes a quote's message valid: the rules of every message (`validity`), and those of its own fields."""

from datetime import datetime

from spark_streaming.contract.schema import QUOTE_FLOATS, QUOTE_INTEGERS, QUOTE_TEXT, MarketPhase
from spark_streaming.contract.validity import Reason, RejectedError, check_symbol, check_time, check_volume, read_fields

TEXT_FIELDS = ("symbol", "timestamp", QUOTE_TEXT)
FIELDS = ("symbol", "timestamp", *QUOTE_FLOATS, *QUOTE_INTEGERS, QUOTE_TEXT)
OPTIONAL = frozenset(FIELDS) - {"symbol", "timestamp", "price"}
PRICES = ("price", "bid", "ask")

TIMESTAMP_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"

_PHASES = frozenset(MarketPhase)


def quote_rejection_reason(key: bytes | None, value: bytes | None, now: datetime) -> Reason | None:
    """Return why the quote of `key` and `value` is rejected; None where it is valid.

    `now` is what "a day ahead" is measured from, in UTC: the Kafka record's own time, so that the result for a
    record is the same whenever it is read. An ask below the bid is not rejected: markets cross.
    """
    try:
        quote = read_fields(value, FIELDS, TEXT_FIELDS, OPTIONAL)
        check_symbol(quote["symbol"], key)
        check_time(quote["timestamp"], TIMESTAMP_PATTERN, now)
        if any(quote[name] <= 0 for name in PRICES if name in quote):
            raise RejectedError(Reason.PRICE_NOT_POSITIVE)
        for name in QUOTE_INTEGERS:
            if name in quote:
                check_volume(quote[name])
        if quote.get(QUOTE_TEXT, MarketPhase.REGULAR) not in _PHASES:
            raise RejectedError(Reason.MARKET_PHASE_UNKNOWN)
    except RejectedError as error:
        reason: Reason = error.args[0]
        return reason
    return None
