"""Makes the sources that the settings name."""

import ssl
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from spark_streaming.contract.schema import Source
from stock_assets.settings import IngestSettings
from stock_assets.sources.base import BarSource, QuoteSource, require_exchanges

if TYPE_CHECKING:
    from stock_assets.sources.yahoo.client import YahooClient
    from stock_assets.sources.yahoo.rate_limiter import RateLimiter


def check_before_start(settings: IngestSettings) -> int:
    """Check that the source can be used, before any server runs; returns how many lines will be left out.

    Raises:
        SourceError: it can't be used.
    """
    if settings.source is Source.YAHOO:  # its watchlist is in the database, which does not run yet
        from stock_assets.sources.yahoo.limits import require_interval

        require_interval(settings.bar_interval)
        require_exchanges(settings.stocks)
        return 0
    return make_source(settings).check()


def make_source(settings: IngestSettings) -> BarSource:
    """Make the source of bars. Each source's module, some of which load pandas, is imported only where it is needed.

    Raises:
        SourceError: the source can't be used with these settings.
    """
    if settings.source is Source.REPLAY:
        from stock_assets.sources.replay.source import ReplaySource

        return ReplaySource.from_settings(settings)
    if settings.source is Source.SIMULATED:
        from stock_assets.sources.simulated.source import SimulatedSource

        return SimulatedSource(
            symbols=settings.stocks,
            seed=settings.simulated_seed,
            begin=settings.stack_started_at,
            bars=settings.simulated_bars,
        )
    return _make_yahoo_source(settings)


def make_rate_limiter(settings: IngestSettings) -> "RateLimiter":
    """Return the rate limiter, whose state all programs of a home share."""
    from stock_assets.sources.yahoo.rate_limiter import RateLimiter

    return RateLimiter(settings.state_of("manners") / "turns.json", settings.yahoo_requests_per_minute)


def make_yahoo_client(settings: IngestSettings) -> "YahooClient":
    """Return a client for Yahoo, whose caches are in the home."""
    from stock_assets.sources.yahoo.client import YahooClient, cache_folder
    from stock_assets.sources.yahoo.http_session import YahooSession

    connect = partial(YahooSession, settings.yahoo_proxy, settings.yahoo_ca_file)
    return YahooClient(cache_folder(settings.stocks_home), connect)


def _make_yahoo_source(settings: IngestSettings) -> BarSource:
    from stock_assets.sources.yahoo.source import YahooSource
    from stock_assets.store.corporate_actions import read_splits
    from stock_assets.store.engine import make_engine
    from stock_assets.store.watchlist import read_watchlist

    engine = make_engine(settings.postgres)
    return YahooSource(
        watched=partial(read_watchlist, engine),
        interval=settings.bar_interval,
        history=timedelta(days=settings.history_days),
        delay=timedelta(seconds=settings.yahoo_delay_seconds),
        client=make_yahoo_client(settings),
        rate_limiter=make_rate_limiter(settings),
        extended=settings.extended_hours,
        concurrency=settings.yahoo_concurrency,
        stored_splits=partial(read_splits, engine),
    )


def make_quote_source(settings: IngestSettings, bars: BarSource) -> QuoteSource | None:
    """Return the source of quotes for `bars`, a result of `make_source`; None if the source has no quotes."""
    if settings.source is Source.SIMULATED:
        from stock_assets.sources.simulated.quotes import SimulatedQuotes
        from stock_assets.sources.simulated.source import SimulatedSource

        return SimulatedQuotes(bars) if isinstance(bars, SimulatedSource) else None
    if settings.source is Source.YAHOO:
        from stock_assets.sources.yahoo.quotes import YahooQuotes
        from stock_assets.sources.yahoo.source import YahooSource
        from stock_assets.sources.yahoo.websocket import YahooWebSocket

        if isinstance(bars, YahooSource):
            ca_file = settings.yahoo_ca_file
            context = ssl.create_default_context(cafile=ca_file) if ca_file else None
            stream = YahooWebSocket(context=context, proxy=settings.yahoo_proxy)
            return YahooQuotes(bars.watched, stream, bars.client, bars.rate_limiter, extended=settings.extended_hours)
    return None
