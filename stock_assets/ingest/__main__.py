"""`python -m stock_assets.ingest`: the producer as a program, started by hand or by a Dagster run."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from threading import Event

from dagster_pipes import PipesContext, PipesMetadataRawValue, open_dagster_pipes

from spark_streaming.contract import process_lock, program_control
from spark_streaming.contract.heartbeat import ProgramState
from spark_streaming.contract.heartbeat_writer import HeartbeatWriter
from stock_assets.ingest import program
from stock_assets.ingest.publisher import Publisher
from stock_assets.ingest.quote_worker import QuoteWorker
from stock_assets.settings import IngestSettings
from stock_assets.sources.base import BarSource, SourceError
from stock_assets.sources.factory import make_quote_source, make_source
from stock_assets.store.engine import make_engine

log = logging.getLogger("ingest")

_MAX_LISTED = 200  # entries of a list in Dagster's UI; the log has all of them


def main() -> int:
    """Run the producer; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("kafka").setLevel(logging.WARNING)
    settings = IngestSettings()
    stop = Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    if settings.parent_pid is not None:  # after the handlers: the parent may have ended already
        program_control.end_with_parent(settings.parent_pid)
    state = settings.state_of("ingest")
    try:
        with process_lock.ProcessLock(state), _pipes() as pipes:
            return _publish(settings, stop, pipes)
    except process_lock.AlreadyRunningError as error:
        log.error("%s", error)
        return process_lock.EXIT_LOCKED


def _publish(settings: IngestSettings, stop: Event, pipes: PipesContext | None) -> int:
    state = settings.state_of("ingest")
    program_control.clear_drain_request(state)
    with HeartbeatWriter(state, pipes.run_id if pipes else "", on_drain=stop.set) as heartbeat_writer:
        try:
            source = make_source(settings)
            with (
                Publisher(settings.kafka_bootstrap_servers, settings.names.topic) as publisher,
                _quotes(settings, source, heartbeat_writer) as quotes,
            ):
                totals = program.run(source, publisher, make_engine(settings.postgres), stop, heartbeat_writer)
        except SourceError as error:  # its message names problem and remedy: no traceback
            heartbeat_writer.set_state(ProgramState.FAILED, str(error))
            log.error("%s", error)
            return 1
    log.info("done: %s bars of %s symbols in %.1f s", f"{totals.published:,}", totals.symbols, totals.seconds)
    if pipes:
        _report_quotes(settings, quotes, pipes)
        metadata = _metadata(settings, source.origin, totals)
        pipes.report_asset_materialization(asset_key="kafka/real_time_stock_prices", metadata=metadata)
    return 0


def _metadata(settings: IngestSettings, origin: str, totals: program.Totals) -> dict[str, PipesMetadataRawValue]:
    """The metadata of the materialization that Dagster shows."""

    def json_value(value: Mapping[str, object] | list[str]) -> PipesMetadataRawValue:
        return {"type": "json", "raw_value": value}

    gaps = [f"{gap.symbol} {gap.interval} from {gap.begins_at} to {gap.ends_at}: {gap.why}" for gap in totals.gaps]
    metadata: dict[str, PipesMetadataRawValue] = {
        "source": settings.source.value,
        "origin": origin,
        "topic": settings.names.topic,
        "bars_published": totals.published,
        "lines_left_out": len(totals.left_out),
        "symbols": totals.symbols,
        "next_offset_by_partition": json_value({str(p): o for p, o in totals.offsets.items()}),
        "newest_event": totals.newest_event.isoformat() if totals.newest_event else "none",
        "seconds": round(totals.seconds, 1),
    }
    lists: dict[str, Mapping[str, object] | list[str]] = {
        "left_out": totals.left_out[:_MAX_LISTED],
        "answers": dict(totals.answers),
        "refused": dict(totals.failed_symbols),
        "missing_for_good": gaps[:_MAX_LISTED],
    }
    return metadata | {name: json_value(value) for name, value in lists.items() if value}


@contextlib.contextmanager
def _quotes(
    settings: IngestSettings, bars: BarSource, heartbeat_writer: HeartbeatWriter
) -> Iterator[QuoteWorker | None]:
    """Publish quotes in a thread of their own while the context is open; None where the source has no quotes."""
    source = make_quote_source(settings, bars)
    if source is None:
        yield None
        return
    publisher = partial(Publisher, settings.kafka_bootstrap_servers, settings.names.quote_topic)
    with QuoteWorker(source, publisher) as worker:
        heartbeat_writer.quotes = lambda: worker.heartbeat
        yield worker


def _report_quotes(settings: IngestSettings, quotes: QuoteWorker | None, pipes: PipesContext) -> None:
    if quotes is None:
        return
    heartbeat = quotes.heartbeat
    pipes.report_asset_materialization(
        asset_key="kafka/real_time_stock_quotes",
        metadata={
            "source": settings.source.value,
            "topic": settings.names.quote_topic,
            "quotes_published": heartbeat.records,
            "how": heartbeat.detail,
            "newest_event": heartbeat.newest_event.isoformat() if heartbeat.newest_event else "none",
            **quotes.counts,
        },
    )


@contextlib.contextmanager
def _pipes() -> Iterator[PipesContext | None]:
    """The connection to the Dagster run that started the program; None if it was started by hand."""
    if "DAGSTER_PIPES_CONTEXT" not in os.environ:
        yield None
        return
    with open_dagster_pipes() as pipes:
        yield pipes


if __name__ == "__main__":
    sys.exit(main())
