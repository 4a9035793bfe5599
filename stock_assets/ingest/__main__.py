"""`python -m stock_assets.ingest`: the producer as a program, by hand or as the child of a Dagster run."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from threading import Event

from dagster_pipes import PipesContext, PipesMetadataRawValue, open_dagster_pipes

from spark_streaming.contract import lifecycle
from spark_streaming.contract.lifecycle import State
from spark_streaming.contract.pulse import Pulse
from stock_assets.ingest import program
from stock_assets.ingest.publisher import Publisher
from stock_assets.ingest.quotes import QuoteWorker
from stock_assets.settings import IngestSettings
from stock_assets.sources.choose import quotes_of, source_of
from stock_assets.sources.protocol import BarSource, SourceError
from stock_assets.store.engine import engine_of

log = logging.getLogger("ingest")

_SHOWN = 200  # of the lines left out, in the UI; the log has all of them


def main() -> int:
    """Run the producer; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("kafka").setLevel(logging.WARNING)
    settings = IngestSettings()
    stop = Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    if settings.parent_pid is not None:  # after the handlers: the parent may have gone already
        lifecycle.end_with_parent(settings.parent_pid)
    state = settings.state_of("ingest")
    try:
        with lifecycle.Lock(state), _pipes() as pipes:
            return _publish(settings, stop, pipes)
    except lifecycle.AlreadyRunningError as error:
        log.error("%s", error)
        return lifecycle.EXIT_LOCKED


def _publish(settings: IngestSettings, stop: Event, pipes: PipesContext | None) -> int:
    state = settings.state_of("ingest")
    lifecycle.clear_drain_request(state)
    with Pulse(state, pipes.run_id if pipes else "", on_drain=stop.set) as pulse:
        try:
            source = source_of(settings)
            with (
                Publisher(settings.kafka_bootstrap_servers, settings.names.topic) as publisher,
                _quotes(settings, source, pulse) as quotes,
            ):
                totals = program.run(source, publisher, engine_of(settings.postgres), stop, pulse)
        except SourceError as error:  # says all there is to say; a traceback would hide it
            pulse.tell(State.FAILED, str(error))
            log.error("%s", error)
            return 1
    log.info("done: %s bars of %s symbols in %.1f s", f"{totals.published:,}", totals.symbols, totals.seconds)
    if pipes:
        _report_quotes(settings, quotes, pipes)
        metadata = _metadata(settings, source.origin, totals)
        pipes.report_asset_materialization(asset_key="kafka/real_time_stock_prices", metadata=metadata)
    return 0


def _metadata(settings: IngestSettings, origin: str, totals: program.Totals) -> dict[str, PipesMetadataRawValue]:
    """What Dagster shows of the run."""

    def listed(value: Mapping[str, object] | list[str]) -> PipesMetadataRawValue:
        return {"type": "json", "raw_value": value}

    gaps = [f"{gap.symbol} {gap.interval} from {gap.begins_at} to {gap.ends_at}: {gap.why}" for gap in totals.gaps]
    told: dict[str, PipesMetadataRawValue] = {
        "source": settings.source.value,
        "origin": origin,
        "topic": settings.names.topic,
        "bars_published": totals.published,
        "lines_left_out": len(totals.left_out),
        "symbols": totals.symbols,
        "next_offset_by_partition": listed({str(p): o for p, o in totals.offsets.items()}),
        "newest_event": totals.newest_event.isoformat() if totals.newest_event else "none",
        "seconds": round(totals.seconds, 1),
    }
    lists: dict[str, Mapping[str, object] | list[str]] = {
        "left_out": totals.left_out[:_SHOWN],
        "answers": dict(totals.answers),
        "refused": dict(totals.refused),
        "missing_for_good": gaps[:_SHOWN],
    }
    return told | {name: listed(value) for name, value in lists.items() if value}


@contextlib.contextmanager
def _quotes(settings: IngestSettings, bars: BarSource, pulse: Pulse) -> Iterator[QuoteWorker | None]:
    """The second worker, while the first one is at work; None where the source has no quotes."""
    source = quotes_of(settings, bars)
    if source is None:
        yield None
        return
    publisher = partial(Publisher, settings.kafka_bootstrap_servers, settings.names.quote_topic)
    with QuoteWorker(source, publisher) as worker:
        pulse.quotes = lambda: worker.beat
        yield worker


def _report_quotes(settings: IngestSettings, quotes: QuoteWorker | None, pipes: PipesContext) -> None:
    if quotes is None:
        return
    beat = quotes.beat
    pipes.report_asset_materialization(
        asset_key="kafka/real_time_stock_quotes",
        metadata={
            "source": settings.source.value,
            "topic": settings.names.quote_topic,
            "quotes_published": beat.records,
            "how": beat.detail,
            "newest_event": beat.newest_event.isoformat() if beat.newest_event else "none",
            **quotes.count,
        },
    )


@contextlib.contextmanager
def _pipes() -> Iterator[PipesContext | None]:
    """Dagster's end of the pipe; None when the program was started by hand."""
    if "DAGSTER_PIPES_CONTEXT" not in os.environ:
        yield None
        return
    with open_dagster_pipes() as pipes:
        yield pipes


if __name__ == "__main__":
    sys.exit(main())
