"""Quotes of the same random walk as the simulated bars: two for each second and symbol, at all hours."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from zlib import crc32

from spark_streaming.contract.schema import MarketPhase
from stock_assets.market.quotes import Quote
from stock_assets.sources.base import QuoteStatus
from stock_assets.sources.simulated.source import SimulatedSource

_SPREAD = 0.0002  # ask minus bid, as a fraction of the price
_SECOND = timedelta(seconds=1)


class SimulatedQuotes:
    """A quote depends on the source's seed, the symbol and the time alone. Missed quotes are not given later."""

    def __init__(self, source: SimulatedSource) -> None:
        """Gives quotes of the symbols of `source`."""
        self._source = source
        self.status = QuoteStatus("simulated")

    def batches(self, stop: Event) -> Iterator[Sequence[Quote]]:
        """Yield the quotes of each second once it is over."""
        second = datetime.now(UTC).replace(microsecond=0)
        while not stop.wait(max(0.0, (second + _SECOND - datetime.now(UTC)).total_seconds())):
            yield [quote for symbol in self._source.symbols for quote in self.quotes_in_second(symbol, second)]
            second = max(second + _SECOND, datetime.now(UTC).replace(microsecond=0) - _SECOND)

    def quotes_in_second(self, symbol: str, second: datetime) -> list[Quote]:
        """Return the quotes at the open and the close of the second's bar; the milliseconds depend on the symbol."""
        bar = self._source.bar(symbol, second)
        first = self._source.bar(symbol, second.replace(hour=0, minute=0, second=0)).open
        at = second + timedelta(milliseconds=crc32(symbol.encode()) % 400)
        before, half = self._source.volume_since_midnight(symbol, second), bar.volume // 2
        ticks = ((bar.open, 0, half, before + half), (bar.close, 500, bar.volume - half, before + bar.volume))
        return [
            Quote(
                symbol,
                at + timedelta(milliseconds=milliseconds),
                price,
                bid=round(price * (1 - _SPREAD / 2), 4),
                ask=round(price * (1 + _SPREAD / 2), 4),
                last_size=size,
                day_volume=day_volume,
                change_percent=round((price / first - 1) * 100, 4),
                market_phase=MarketPhase.REGULAR,
            )
            for price, milliseconds, size, day_volume in ticks
        ]
