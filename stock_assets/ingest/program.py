"""The producer: fetches from the source what is not covered, publishes it and writes the new coverage."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any

from sqlalchemy import Engine

from spark_streaming.contract import clock
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState
from spark_streaming.contract.heartbeat_writer import HeartbeatWriter
from stock_assets.ingest.publisher import Publisher
from stock_assets.pipeline.coverage import PermanentGap
from stock_assets.sources.base import BarSource, SourceBatch
from stock_assets.store.corporate_actions import write_actions
from stock_assets.store.coverage import read_coverage, write_coverage
from stock_assets.store.ingest_gaps import write_gaps
from stock_assets.store.source_stats import count_answers

log = logging.getLogger("ingest")


@dataclass(frozen=True)
class Totals:
    """The results of one run of the producer."""

    published: int
    left_out: list[str]
    symbols: int
    answers: Mapping[str, int]  # kind -> number
    failed_symbols: Mapping[str, str]  # symbol -> its last answer, where that was a failure
    gaps: list[PermanentGap]
    offsets: dict[int, int]
    newest_event: datetime | None
    seconds: float


def run(
    source: BarSource, publisher: Publisher, engine: Engine, stop: Event, heartbeat_writer: HeartbeatWriter
) -> Totals:
    """Publish until the source has no more or `stop` is set; coverage is written after its bars are acknowledged.

    After a kill between the two, the next run publishes those bars again, which overwrites the same points in InfluxDB.
    """
    last_answers: dict[str, str | None] = {}
    left_out: list[str] = []
    gaps: list[PermanentGap] = []
    answers = Counter[str]()
    heartbeat_writer.set_state(ProgramState.RUNNING)
    for batch in source.batches(read_coverage(engine), stop):
        offsets = publisher.publish(batch.bars)
        write_actions(engine, batch.actions)
        write_gaps(engine, batch.gaps)
        write_coverage(engine, batch.coverage)
        count_answers(engine, "bars", batch.answers, clock.now())
        last_answers.update({row.symbol: row.last_answer if row.failures else None for row in batch.coverage})
        answers.update(batch.answers)
        gaps.extend(batch.gaps)
        left_out.extend(batch.left_out)
        for text in batch.left_out:
            log.warning("left out: %s", text)
        heartbeat_writer.update(**_heartbeat_fields(heartbeat_writer.heartbeat, batch, offsets))
        if batch.bars:
            log.info(
                "published %s bars, newest %s",
                f"{len(batch.bars):,}",
                f"{heartbeat_writer.heartbeat.newest_event:%Y-%m-%d %H:%M:%SZ}",
            )
    heartbeat = heartbeat_writer.heartbeat
    return Totals(
        heartbeat.records,
        left_out,
        len(last_answers),
        dict(answers),
        {symbol: answer for symbol, answer in last_answers.items() if answer is not None},
        gaps,
        heartbeat.offsets,
        heartbeat.newest_event,
        (clock.now() - heartbeat.started_at).total_seconds(),
    )


def _heartbeat_fields(heartbeat: Heartbeat, batch: SourceBatch, offsets: dict[int, int]) -> dict[str, Any]:
    """The fields of the heartbeat after a batch was published."""
    times = [bar.start for bar in batch.bars] + ([heartbeat.newest_event] if heartbeat.newest_event else [])
    return {
        "records": heartbeat.records + len(batch.bars),
        "offsets": {**heartbeat.offsets, **offsets},
        "newest_event": max(times, default=None),
    }
