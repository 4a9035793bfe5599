"""The source that the settings name."""

from spark_streaming.contract.schema import Source
from stock_assets.settings import IngestSettings
from stock_assets.sources.protocol import BarSource, SourceError


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
    raise SourceError("source yahoo is not built yet; use SOURCE=replay or SOURCE=simulated")
