"""The source that the settings name."""

import ssl
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from spark_streaming.contract.schema import Source
from stock_assets.settings import IngestSettings
from stock_assets.sources.protocol import BarSource, QuoteSource, demand_exchanges

if TYPE_CHECKING:
    from stock_assets.sources.manners import Manners
    from stock_assets.sources.yahoo_client import YahooClient


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
    return _yahoo(settings)


def manners_of(settings: IngestSettings) -> "Manners":
    """The budget and the hold that all programs of a home share."""
    from stock_assets.sources.manners import Manners

    return Manners(settings.state_of("manners") / "turns.json", settings.yahoo_requests_per_minute)


def client_of(settings: IngestSettings) -> "YahooClient":
    """A client of Yahoo's, with its caches in the home."""
    from stock_assets.sources.yahoo_client import YahooClient, cache_of
    from stock_assets.sources.yahoo_session import YahooSession

    connect = partial(YahooSession, settings.yahoo_proxy, settings.yahoo_ca_file)
    return YahooClient(cache_of(settings.stocks_home), connect)


def _yahoo(settings: IngestSettings) -> BarSource:
    from functools import partial

    from stock_assets.sources.yahoo import YahooSource
    from stock_assets.store.actions import read_splits
    from stock_assets.store.engine import engine_of
    from stock_assets.store.watchlist import read_watchlist

    engine = engine_of(settings.postgres)
    return YahooSource(
        watched=partial(read_watchlist, engine),
        interval=settings.bar_interval,
        history=timedelta(days=settings.history_days),
        delay=timedelta(seconds=settings.yahoo_delay_seconds),
        client=client_of(settings),
        manners=manners_of(settings),
        extended=settings.extended_hours,
        concurrency=settings.yahoo_concurrency,
        known_splits=partial(read_splits, engine),
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
            ca_file = settings.yahoo_ca_file
            context = ssl.create_default_context(cafile=ca_file) if ca_file else None
            stream = YahooStream(context=context, proxy=settings.yahoo_proxy)
            return YahooQuotes(bars.watched, stream, bars.client, bars.manners, extended=settings.extended_hours)
    return None
