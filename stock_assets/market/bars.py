"""The values that travel: bars of prices, and what is known of a company."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

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
        """Kafka's key: one symbol stays in one partition, so its bars keep their order."""
        return self.symbol.encode()

    @property
    def value(self) -> bytes:
        """Kafka's value: the JSON of the contract."""
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
    """How long a bar of `interval` (`1s`, `2m`, `1h`) lasts; None where it lasts a session (`1d`) or longer."""
    seconds = _UNITS.get(interval[-1:])
    return timedelta(seconds=seconds * int(interval[:-1])) if seconds and interval[:-1].isdigit() else None


@dataclass(frozen=True, slots=True)
class CompanyInfo:
    """Facts about a company as of a date of its exchange; None where the source knows nothing.

    Prices and market value are in `currency`; `shortratio` is in days to cover, `dividendyield` a fraction.
    """

    entry_date: date
    symbol: str
    shortname: str | None = None
    longname: str | None = None
    industry: str | None = None
    sector: str | None = None
    marketcap: int | None = None
    forwardpe: Decimal | None = None
    trailingpe: Decimal | None = None
    currency: str | None = None
    fiftytwoweekhigh: Decimal | None = None
    fiftytwoweeklow: Decimal | None = None
    fiftydayaverage: Decimal | None = None
    exchange: str | None = None
    shortratio: Decimal | None = None
    country: str | None = None
    website: str | None = None
    employees: int | None = None
    beta: Decimal | None = None
    dividendyield: Decimal | None = None
    nextearnings: date | None = None

    def row(self) -> dict[str, object]:
        """The columns of `stock_info`."""
        return asdict(self)
