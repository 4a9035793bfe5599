"""Parses quotes from frames of Yahoo's WebSocket and from rows of its quote endpoint. Pure."""

import base64
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from yfinance.pricing_pb2 import PricingData

from spark_streaming.contract.schema import MarketPhase
from stock_assets.market.quotes import Quote

# PricingData.market_hours. Source: the enum MarketHoursType in the code of Yahoo's page.
_PHASES = {
    0: MarketPhase.PRE,
    1: MarketPhase.REGULAR,
    2: MarketPhase.POST,
    3: MarketPhase.EXTENDED,
    4: MarketPhase.OVERNIGHT,
}
# `marketState` in a row of the quote endpoint -> the prefix of the fields that hold the newest price.
_ROWS = {"PRE": ("preMarket", MarketPhase.PRE), "POST": ("postMarket", MarketPhase.POST)}


class UnreadableFrameError(ValueError):
    """A frame or row of a quote can't be parsed, or has no usable symbol, price or time."""


def quote_from_frame(frame: str | bytes) -> Quote | None:
    """Return the quote in a frame: protobuf in base64 in JSON. None for a frame of another type.

    Protobuf leaves zeros out, so a missing field is zero. A price or size of zero means that there is none; a change of
    zero is an unchanged price, and market phase zero is the time before the open.

    Raises:
        UnreadableFrameError: it can't be parsed, or has no usable symbol, price or time.
    """
    try:
        envelope = json.loads(frame)
        if envelope.get("type", "pricing") != "pricing":
            return None
        data = PricingData.FromString(base64.b64decode(envelope["message"], validate=True))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, DecodeError) as error:
        raise UnreadableFrameError(f"{type(error).__name__}: {error}") from None
    price = _price(data.price)
    if not data.id or price is None or data.time <= 0:
        raise UnreadableFrameError(f"no quote: id {data.id!r}, price {data.price}, time {data.time}")
    return Quote(
        data.id,
        _moment(data.time / 1000),
        price,
        bid=_price(data.bid),
        ask=_price(data.ask),
        last_size=data.last_size if data.last_size > 0 else None,
        day_volume=data.day_volume if data.day_volume > 0 else None,
        change_percent=_decimal(data.change_percent),
        market_phase=_PHASES.get(data.market_hours),
    )


def quote_from_row(row: Mapping[str, Any]) -> Quote | None:
    """Return the quote in a row of /v7/finance/quote; None where it has no price or no time.

    Raises:
        UnreadableFrameError: it is not an object, or a field is not usable.
    """
    try:
        part, phase = _ROWS.get(row.get("marketState", ""), ("regularMarket", MarketPhase.REGULAR))
        if f"{part}Price" not in row:  # no trade since the close
            part, phase = "regularMarket", MarketPhase.REGULAR
        if not row.get(f"{part}Price") or not row.get(f"{part}Time"):
            return None
        volume, change = row.get("regularMarketVolume"), row.get(f"{part}ChangePercent")
        symbol, price = str(row["symbol"]), _positive(row[f"{part}Price"])
        symbol.encode()  # raises on half of a surrogate pair, which can't be published
        if price is None:
            raise UnreadableFrameError(f"no quote: symbol {symbol!r}, price {row[f'{part}Price']}")
        return Quote(
            symbol,
            _moment(int(row[f"{part}Time"])),
            price,
            bid=_positive(row["bid"]) if row.get("bid") else None,
            ask=_positive(row["ask"]) if row.get("ask") else None,
            day_volume=int(volume) if volume else None,
            change_percent=_finite(change) if change is not None else None,
            market_phase=phase,
        )
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise UnreadableFrameError(f"{type(error).__name__}: {error}") from None


def _finite(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _positive(value: float) -> float | None:
    number = _finite(value)
    return number if number is not None and number > 0 else None


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UnreadableFrameError(f"time {seconds}: {error}") from None


def _price(value: float) -> float | None:
    price = _decimal(value)
    return price if price is not None and price > 0 else None


def _decimal(value: float) -> float | None:
    """The shortest decimal of a 32-bit float: 217.1 instead of 217.10000610351562. None if it is not finite."""
    return float(str(np.float32(value))) if math.isfinite(value) else None
