"""Yahoo's limits by interval: how far back it has bars, and the longest time of one answer."""

from datetime import timedelta

from stock_assets.pipeline.fetch_planner import SourceLimits
from stock_assets.sources.base import SourceError

# From the documentation of `history` in yfinance 1.7.
LIMITS = {
    "1m": SourceLimits(timedelta(days=30), timedelta(days=7)),
    "2m": SourceLimits(timedelta(days=60), timedelta(days=59)),
    "5m": SourceLimits(timedelta(days=60), timedelta(days=59)),
    "15m": SourceLimits(timedelta(days=60), timedelta(days=59)),
    "1h": SourceLimits(timedelta(days=730), timedelta(days=729)),
    "1d": SourceLimits(timedelta(days=365 * 60), timedelta(days=365 * 60)),
}


def require_interval(interval: str) -> None:
    """Raise SourceError if Yahoo has no bars of the interval."""
    if interval not in LIMITS:
        raise SourceError(f"BAR_INTERVAL={interval}: Yahoo has no such bars; it has {', '.join(LIMITS)}")
