"""Which market a symbol trades on, and by how much Yahoo delays that market's prices. Pure."""

from datetime import timedelta

from spark_streaming.contract.schema import Source

ALWAYS_OPEN = "24/7"


# Yahoo's suffix of a symbol -> ISO 10383 code of its market.
# Source: Yahoo's help page "Exchanges and data providers on Yahoo Finance".
_EXCHANGE_OF_SUFFIX = {
    "": "XNYS",  # NYSE and NASDAQ keep the same hours and holidays
    "AS": "XAMS",
    "AX": "XASX",
    "DE": "XETR",
    "F": "XFRA",
    "HK": "XHKG",
    "L": "XLON",
    "MI": "XMIL",
    "PA": "XPAR",
    "SW": "XSWX",
    "T": "XTKS",
    "TO": "XTSE",
}


# Minutes by which Yahoo shows an exchange's prices late; others are shown as they happen.
# Source: the same help page.
_DELAY_MINUTES = {
    "XAMS": 15,
    "XASX": 20,
    "XETR": 15,
    "XFRA": 15,
    "XHKG": 15,
    "XLON": 20,
    "XMIL": 20,
    "XPAR": 15,
    "XSWX": 30,
    "XTKS": 20,
}


# What may stand after the dash of a pair that trades around the clock; of BRK-B and the like it is a class of share.
_MONEY = {"USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "CNY", "INR", "KRW", "BTC", "ETH", "USDT", "USDC"}


def exchange_of(symbol: str) -> str:
    """The market of `symbol`: `XNYS` of `AMZN`, `XETR` of `SAP.DE`, `24/7` of `BTC-USD`.

    Raises:
        ValueError: a kind of symbol, or a suffix, whose exchange is not known.
    """
    if "-" in symbol and "." not in symbol and symbol.rsplit("-", 1)[1] in _MONEY:
        return ALWAYS_OPEN
    if symbol.startswith("^") or "=" in symbol:
        raise ValueError(f"{symbol}: indices, currencies and futures have no calendar here yet; leave it out")
    suffix = symbol.rsplit(".", 1)[1] if "." in symbol else ""
    if suffix not in _EXCHANGE_OF_SUFFIX:
        raise ValueError(
            f"{symbol}: no exchange is known for the suffix .{suffix}; known: {sorted(_EXCHANGE_OF_SUFFIX)}"
        )
    return _EXCHANGE_OF_SUFFIX[suffix]


def exchange_for(source: Source, symbol: str) -> str:
    """The calendar by which bars of `source` come: a simulation never closes.

    Raises:
        ValueError: as `exchange_of`.
    """
    return ALWAYS_OPEN if source is Source.SIMULATED else exchange_of(symbol)


def delay_of(exchange: str) -> timedelta:
    """By how much Yahoo shows the exchange's prices late."""
    return timedelta(minutes=_DELAY_MINUTES.get(exchange, 0))
