"""The source that the settings name."""

from datetime import timedelta
from functools import partial

from spark_streaming.contract.schema import Source
from stock_assets.settings import IngestSettings
from stock_assets.sources.protocol import BarSource, QuoteSource, demand_exchanges


def check_before_start(settings: IngestSettings) -> int:
    """Look whether the source can give what is asked of it, before there is a server; returns what is left out.

    Raises:
        SourceError: it can't.
    """
    if settings.source is Source.YAHOO:  # its watchlist is in a database that doesn't run yet
        from stock_assets.sources.yahoo import demand_interval

        demand_interval(settings.bar_interval)
        demand_exchanges(settings.stocks)
        return 0
    return source_of(settings).check()


def source_of(settings: IngestSettings) -> BarSource:
    """Make the source; modules are loaded only where they are needed, pandas among them.

    Raises:
        SourceError: the source can't be used with these settings.
    """
    if settings.source is Source.REPLAY:
        from stock_assets.sources.replay import ReplaySource

        return ReplaySource.of(settings)
    if settings.source is Source.SIMULATED:
        from stock_assets.sources.simulated import SimulatedSource

        return SimulatedSource(
            symbols=settings.stocks,
            seed=settings.simulated_seed,
            begin=settings.stack_started_at,
            bars=settings.simulated_bars,
        )
    from stock_assets.sources.yahoo import Manners, YahooSource
    from stock_assets.sources.yahoo_client import YahooClient, cache_of
    from stock_assets.store.engine import engine_of
    from stock_assets.store.watchlist import read_watchlist

    return YahooSource(
        watched=partial(read_watchlist, engine_of(settings.postgres)),
        interval=settings.bar_interval,
        history=timedelta(days=settings.history_days),
        delay=timedelta(seconds=settings.yahoo_delay_seconds),
        client=YahooClient(cache_of(settings.stocks_home)),
        manners=Manners(settings.yahoo_requests_per_minute),
    )


def quotes_of(settings: IngestSettings, bars: BarSource) -> QuoteSource | None:
    """The quotes beside `bars`, the source that `source_of` made; None where it has none."""
    if settings.source is Source.SIMULATED:
        from stock_assets.sources.simulated import SimulatedSource
        from stock_assets.sources.simulated_quotes import SimulatedQuotes

        return SimulatedQuotes(bars) if isinstance(bars, SimulatedSource) else None
    if settings.source is Source.YAHOO:
        from stock_assets.sources.yahoo import YahooSource
        from stock_assets.sources.yahoo_quotes import YahooQuotes
        from stock_assets.sources.yahoo_stream import YahooStream

        if isinstance(bars, YahooSource):
            return YahooQuotes(bars.watched, YahooStream(), bars.client, bars.manners)
    return None
