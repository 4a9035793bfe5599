"""The exchange of a symbol, and the delay of its prices at Yahoo. Pure."""

from datetime import timedelta

from spark_streaming.contract.schema import Source

ALWAYS_OPEN = "24/7"


# Yahoo's suffix of a symbol -> the exchange's ISO 10383 code.
# Source: Yahoo's help page "Exchanges and data providers on Yahoo Finance".
_EXCHANGE_OF_SUFFIX = {
    "": "XNYS",  # NYSE and NASDAQ have the same hours and holidays
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


# Yahoo's delay of an exchange's prices in minutes; the others have none.
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


# The second part of a pair such as BTC-USD, which always trades. In BRK-B the second part is a class of shares.
_PAIR_CURRENCIES = {"USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "CNY", "INR", "KRW", "BTC", "ETH", "USDT", "USDC"}


def exchange_of(symbol: str) -> str:
    """Return the exchange of `symbol`: `XNYS` of `AMZN`, `XETR` of `SAP.DE`, `24/7` of `BTC-USD`.

    Raises:
        ValueError: the exchange of this kind of symbol, or of its suffix, is not known.
    """
    if "-" in symbol and "." not in symbol and symbol.rsplit("-", 1)[1] in _PAIR_CURRENCIES:
        return ALWAYS_OPEN
    if symbol.startswith("^") or "=" in symbol:
        raise ValueError(f"{symbol}: indices, currencies and futures have no trading calendar here; remove it")
    suffix = symbol.rsplit(".", 1)[1] if "." in symbol else ""
    if suffix not in _EXCHANGE_OF_SUFFIX:
        raise ValueError(
            f"{symbol}: no exchange is known for the suffix .{suffix}; known: {sorted(_EXCHANGE_OF_SUFFIX)}"
        )
    return _EXCHANGE_OF_SUFFIX[suffix]


def exchange_for(source: Source, symbol: str) -> str:
    """Return the exchange whose calendar the bars of `source` follow: a simulation never closes.

    Raises:
        ValueError: as in `exchange_of`.
    """
    return ALWAYS_OPEN if source is Source.SIMULATED else exchange_of(symbol)


def delay_of(exchange: str) -> timedelta:
    """Return the delay of the exchange's prices at Yahoo."""
    return timedelta(minutes=_DELAY_MINUTES.get(exchange, 0))
