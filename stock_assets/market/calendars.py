"""Which exchange a symbol trades on, and that exchange's sessions. The market's clock, never a fixed offset."""

from datetime import UTC, date, datetime
from functools import lru_cache

import exchange_calendars
import pandas as pd

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

# The first year for which sessions can be asked for; recorded bars may be decades old.
_FIRST_DAY = "1990-01-01"


def exchange_of(symbol: str) -> str:
    """The market of `symbol`: `XNYS` of `AMZN`, `XETR` of `SAP.DE`, `24/7` of `BTC-USD`.

    Raises:
        ValueError: a suffix that is not known.
    """
    if "-" in symbol and "." not in symbol and symbol.rsplit("-", 1)[1] in {"USD", "EUR", "GBP", "USDT"}:
        return ALWAYS_OPEN
    suffix = symbol.rsplit(".", 1)[1] if "." in symbol else ""
    if suffix not in _EXCHANGE_OF_SUFFIX:
        raise ValueError(
            f"{symbol}: no exchange is known for the suffix .{suffix}; known: {sorted(_EXCHANGE_OF_SUFFIX)}"
        )
    return _EXCHANGE_OF_SUFFIX[suffix]


@lru_cache
def calendar_of(exchange: str) -> exchange_calendars.ExchangeCalendar:
    """The calendar of a market."""
    try:
        return exchange_calendars.get_calendar(exchange, start=_FIRST_DAY)
    except ValueError:  # this calendar isn't known that far back: take its own last twenty years
        return exchange_calendars.get_calendar(exchange)


@lru_cache
def _opens(exchange: str) -> dict[date, datetime]:
    return {session.date(): opened.to_pydatetime() for session, opened in calendar_of(exchange).opens.items()}


def session_open(exchange: str, day: date) -> datetime:
    """When the session of `day` opened, in UTC.

    Raises:
        ValueError: the exchange was closed on that day.
    """
    opened = _opens(exchange).get(day)
    if opened is None:
        raise ValueError(f"{day} was no trading day of {exchange}")
    return opened


def is_open(exchange: str, now: datetime) -> bool:
    """Whether the market trades at `now`."""
    return bool(calendar_of(exchange).is_open_on_minute(pd.Timestamp(now).floor("min"), ignore_breaks=False))


def last_close(exchange: str, now: datetime) -> datetime:
    """The newest close that is not after `now`, in UTC; `now` itself for a market that never closes."""
    if exchange == ALWAYS_OPEN:
        return now
    closed: datetime = (
        calendar_of(exchange).previous_close(pd.Timestamp(now).floor("min") + pd.Timedelta(minutes=1)).to_pydatetime()
    )
    return closed.astimezone(UTC)


def session_date(exchange: str, moment: datetime) -> date:
    """The date, as the exchange counts it, to which `moment` belongs: the session that is on or was last on."""
    calendar = calendar_of(exchange)
    day: date = calendar.minute_to_session(pd.Timestamp(moment).floor("min"), direction="previous").date()
    return day


def date_at(exchange: str, moment: datetime) -> date:
    """The date on the exchange's wall calendar at `moment`."""
    return moment.astimezone(calendar_of(exchange).tz).date()
