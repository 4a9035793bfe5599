"""Quotes of the same random walk as the simulated bars: two a second and symbol, around the clock."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from zlib import crc32

from spark_streaming.contract.schema import MarketPhase
from stock_assets.market.quotes import Quote
from stock_assets.sources.base import QuoteStatus
from stock_assets.sources.simulated.source import SimulatedSource

_SPREAD = 0.0002  # from bid to ask, of the price
_SECOND = timedelta(seconds=1)


class SimulatedQuotes:
    """A quote is a function of the source's seed, the symbol and the time. What was missed is not given later."""

    def __init__(self, source: SimulatedSource) -> None:
        """Quotes of the symbols of `source`."""
        self._source = source
        self.status = QuoteStatus("simulated")

    def batches(self, stop: Event) -> Iterator[Sequence[Quote]]:
        """Give the quotes of each second once it is over."""
        second = datetime.now(UTC).replace(microsecond=0)
        while not stop.wait(max(0.0, (second + _SECOND - datetime.now(UTC)).total_seconds())):
            yield [quote for symbol in self._source.symbols for quote in self.of_second(symbol, second)]
            second = max(second + _SECOND, datetime.now(UTC).replace(microsecond=0) - _SECOND)

    def of_second(self, symbol: str, second: datetime) -> list[Quote]:
        """A quote at the open and one at the close of a second's bar, at milliseconds that the symbol has its own."""
        bar = self._source.bar(symbol, second)
        first = self._source.bar(symbol, second.replace(hour=0, minute=0, second=0)).open
        at = second + timedelta(milliseconds=crc32(symbol.encode()) % 400)
        before, half = self._source.volume_since_midnight(symbol, second), bar.volume // 2
        ticks = ((bar.open, 0, half, before + half), (bar.close, 500, bar.volume - half, before + bar.volume))
        return [
            Quote(
                symbol,
                at + timedelta(milliseconds=late),
                price,
                bid=round(price * (1 - _SPREAD / 2), 4),
                ask=round(price * (1 + _SPREAD / 2), 4),
                last_size=size,
                day_volume=day_volume,
                change_percent=round((price / first - 1) * 100, 4),
                market_phase=MarketPhase.REGULAR,
            )
            for price, late, size, day_volume in ticks
        ]
