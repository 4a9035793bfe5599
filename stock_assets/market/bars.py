"""A bar: the prices of one symbol over one interval."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices of one symbol over one interval.

    `start` is the bar's start, aware and in UTC; a daily bar starts at its session's open. Prices are in the
    currency of the listing, unadjusted; `volume` is in shares.
    """

    symbol: str
    interval: str
    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int

    @property
    def key(self) -> bytes:
        """The Kafka key: all bars of a symbol go to one partition and keep their order."""
        return self.symbol.encode()

    @property
    def value(self) -> bytes:
        """The Kafka value: the JSON of the contract."""
        return json.dumps(
            {
                "symbol": self.symbol,
                "timestamp": self.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "interval": self.interval,
                "open": self.open,
                "high": self.high,
                "low": self.low,
                "close": self.close,
                "volume": self.volume,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()


def interval_length(interval: str) -> timedelta | None:
    """Return the length of a bar of `interval` (`1s`, `2m`, `1h`); None where it is a session (`1d`) or longer."""
    seconds = _UNITS.get(interval[-1:])
    return timedelta(seconds=seconds * int(interval[:-1])) if seconds and interval[:-1].isdigit() else None
