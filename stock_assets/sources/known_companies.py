"""Built-in facts about some companies, for replayed and simulated symbols."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from stock_assets.market.calendars import date_at
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.symbols import exchange_of

# Symbol -> name, sector and industry (in Yahoo's wording), currency and exchange of the listing.
_KNOWN = {
    "AAPL": ("Apple Inc.", "Technology", "Consumer Electronics", "USD", "NMS"),
    "AMZN": ("Amazon.com, Inc.", "Consumer Cyclical", "Internet Retail", "USD", "NMS"),
    "FB": ("Facebook, Inc.", "Communication Services", "Internet Content & Information", "USD", "NMS"),
    "GOOG": ("Google Inc.", "Communication Services", "Internet Content & Information", "USD", "NMS"),
    "GOOGL": ("Alphabet Inc.", "Communication Services", "Internet Content & Information", "USD", "NMS"),
    "IBM": (
        "International Business Machines Corporation",
        "Technology",
        "Information Technology Services",
        "USD",
        "NYQ",
    ),
    "MSFT": ("Microsoft Corporation", "Technology", "Software - Infrastructure", "USD", "NMS"),
}


def known_companies(symbols: Iterable[str], now: datetime) -> Iterator[CompanyInfo]:
    """Yield a row for each symbol, as of its exchange's date at `now`; of an unknown company all facts are None."""
    for symbol in symbols:
        today = date_at(exchange_of(symbol), now)
        if symbol not in _KNOWN:
            yield CompanyInfo(today, symbol)
            continue
        name, sector, industry, currency, exchange = _KNOWN[symbol]
        yield CompanyInfo(
            today,
            symbol,
            shortname=name,
            longname=name,
            sector=sector,
            industry=industry,
            currency=currency,
            exchange=exchange,
        )
