"""Whether quotes come while a market is open. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.market.symbols import delay_of, exchange_of
from stock_assets.market.trading_hours import trading_interval_at


@dataclass(frozen=True, slots=True)
class QuoteFreshness:
    """The freshness of one exchange's quotes; times are UTC."""

    exchange: str
    symbols: tuple[str, ...]
    newest: datetime | None  # of all its symbols
    expected: datetime | None  # a quote since then; None while none is expected

    @property
    def passed(self) -> bool:
        """Whether no quote is late."""
        return self.expected is None or (self.newest is not None and self.newest >= self.expected)


def evaluate_quotes(
    exchanges: Mapping[str, Sequence[str]], newest: Mapping[str, datetime], grace: timedelta, now: datetime
) -> list[QuoteFreshness]:
    """Return a row for each exchange: one thin symbol may have no quote for long, all symbols together have some.

    Args:
        exchanges: exchange -> the watched symbols that trade there.
        newest: symbol -> the time of its newest stored quote.
        grace: what may pass without a quote while the market is open; the exchange's own delay comes on top.
        now: aware. A market that has been open for less than `grace`, or is closed, raises no alarm: a quote that was
            missed can't be had later.
    """
    rows = []
    for exchange, symbols in sorted(exchanges.items()):
        shown = now - delay_of(exchange)
        since = shown - grace
        trades = all(trading_interval_at(exchange, moment).is_on(moment) for moment in (since, shown))
        times = [newest[symbol] for symbol in symbols if symbol in newest]
        rows.append(
            QuoteFreshness(exchange, tuple(sorted(symbols)), max(times, default=None), since if trades else None)
        )
    return rows


def by_exchange(symbols: Sequence[str]) -> dict[str, list[str]]:
    """Return exchange -> the symbols that trade there."""
    found: dict[str, list[str]] = {}
    for symbol in symbols:
        found.setdefault(exchange_of(symbol), []).append(symbol)
    return found
