"""A quote: the last price of a symbol, its bid and its ask."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from spark_streaming.contract.schema import MarketPhase


@dataclass(frozen=True, slots=True)
class Quote:
    """One tick of one symbol; a field is None where the source does not give it.

    `time` is the exchange's, aware, in milliseconds. Prices are in the currency of the listing, `last_size` and
    `day_volume` (since the session opened) in shares, `change_percent` is the change since the last close.
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
        """The Kafka key: all quotes of a symbol go to one partition and keep their order."""
        return self.symbol.encode()

    @property
    def value(self) -> bytes:
        """The Kafka value: the JSON of the contract, without unknown fields."""
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
