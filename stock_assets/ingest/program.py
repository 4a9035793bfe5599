"""The producer: asks the source for what is not covered, publishes it, writes down what is covered now."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Event

from sqlalchemy import Engine

from spark_streaming.contract import lifecycle
from spark_streaming.contract.lifecycle import Heartbeat, State
from stock_assets.ingest.publisher import Publisher
from stock_assets.ingest.pulse import Pulse
from stock_assets.sources.protocol import BarSource, Batch
from stock_assets.store.coverage import read_coverage, write_coverage

log = logging.getLogger("ingest")


@dataclass(frozen=True)
class Totals:
    """What one run of the producer has done."""

    published: int
    left_out: list[str]
    symbols: int
    offsets: dict[int, int]
    newest_event: datetime | None
    seconds: float


def run(source: BarSource, publisher: Publisher, engine: Engine, stop: Event, pulse: Pulse) -> Totals:
    """Publish until the source has no more or `stop` is set; coverage is written only once bars are acknowledged.

    Killed between the two, the next run publishes those bars again: the point in InfluxDB is the same.
    """
    symbols: set[str] = set()
    left_out: list[str] = []
    pulse.tell(State.RUNNING)
    for batch in source.batches(read_coverage(engine), stop):
        offsets = publisher.publish(batch.bars)
        write_coverage(engine, batch.coverage)
        symbols.update(row.symbol for row in batch.coverage)
        left_out.extend(batch.left_out)
        for what in batch.left_out:
            log.warning("left out: %s", what)
        pulse.count(_after(pulse.heartbeat, batch, offsets))
        if batch.bars:
            log.info(
                "published %s bars, newest %s",
                f"{len(batch.bars):,}",
                f"{pulse.heartbeat.newest_event:%Y-%m-%d %H:%M:%SZ}",
            )
    heartbeat = pulse.heartbeat
    return Totals(
        heartbeat.records,
        left_out,
        len(symbols),
        heartbeat.offsets,
        heartbeat.newest_event,
        (lifecycle.now() - heartbeat.started_at).total_seconds(),
    )


def _after(heartbeat: Heartbeat, batch: Batch, offsets: dict[int, int]) -> Heartbeat:
    times = [bar.start for bar in batch.bars] + ([heartbeat.newest_event] if heartbeat.newest_event else [])
    return replace(
        heartbeat,
        records=heartbeat.records + len(batch.bars),
        offsets={**heartbeat.offsets, **offsets},
        newest_event=max(times, default=None),
    )
