"""The progress of the first history of the watched symbols, while `stocks up` runs in the foreground."""

from collections.abc import Sequence
from datetime import UTC, datetime

from infra.host.progress import Progress
from infra.settings import StackSettings
from infra.stack.platform import Platform
from stock_assets.pipeline.coverage import Coverage, has_history


def watch_first_history(platform: Platform, settings: StackSettings, progress: Progress) -> None:
    """Watch the platform until every symbol has its first history, and show it; at once where all have."""
    from sqlalchemy.exc import OperationalError

    from stock_assets.settings import IngestSettings
    from stock_assets.sources.factory import make_source
    from stock_assets.store.coverage import read_coverage
    from stock_assets.store.engine import make_engine

    ingest = IngestSettings(stocks_home=settings.stocks_home, source=settings.source)
    source, engine = make_source(ingest), make_engine(ingest.postgres)
    with progress.step(f"the first history, {ingest.history_days} days") as step:

        def is_complete() -> bool:
            try:
                rows = source.watched_rows(read_coverage(engine), datetime.now(UTC))
            except OperationalError:  # PostgreSQL restarts
                return False
            step.detail = describe_history(rows)
            return all(map(has_history, rows))

        platform.watch(is_complete)


def describe_history(rows: Sequence[Coverage]) -> str:
    """Return how many symbols have their history, and the last error of the first one that lacks it."""
    left = [row for row in rows if not has_history(row)]
    progress = f"{len(rows) - len(left)} of {len(rows)} symbols"
    refused = next((row for row in left if row.failures), None)
    return f"{progress}; {refused.symbol}: {refused.last_answer}" if refused else progress
