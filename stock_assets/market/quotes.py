"""A quote: what a market last paid for a symbol, and what is bid and asked."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from spark_streaming.contract.schema import MarketPhase


@dataclass(frozen=True, slots=True)
class Quote:
    """One tick of one symbol; None where the source says nothing.

    `time` is when the exchange saw it, aware, to the millisecond. Prices are in the currency of the listing,
    `last_size` and `day_volume` (since the session's begin) in shares, `change_percent` is against the last close.
    """

    symbol: str
    time: datetime
    price: float
    bid: float | None = None
    ask: float | None = None
    last_size: int | None = None
    day_volume: int | None = None
    change_percent: float | None = None
    market_phase: MarketPhase | None = None

    @property
    def key(self) -> bytes:
        """Kafka's key: one symbol stays in one partition, so its quotes keep their order."""
        return self.symbol.encode()

    @property
    def value(self) -> bytes:
        """Kafka's value: the JSON of the contract, without what isn't known."""
        known = {
            "symbol": self.symbol,
            "timestamp": self.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "price": self.price,
            "bid": self.bid,
            "ask": self.ask,
            "last_size": self.last_size,
            "day_volume": self.day_volume,
            "change_percent": self.change_percent,
            "market_phase": self.market_phase,
        }
        fields = {name: value for name, value in known.items() if value is not None}
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
