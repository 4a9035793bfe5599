"""Facts about a company."""

from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class CompanyInfo:
    """Facts about a company as of a date of its exchange; None where the source has no value.

    Prices and market value are in `currency`; `shortratio` is in days to cover, `dividendyield` is a fraction.
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
        """Return the columns of `stock_info`."""
        return asdict(self)
