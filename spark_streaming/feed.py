"""A feed carries one topic into one measurement. The stream has one of bars and, where there are any, one of quotes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from spark_streaming.contract.schema import QUOTE_MEASUREMENT
from spark_streaming.parse.bars import bar_lines, rejection_reasons
from spark_streaming.parse.quotes import quote_lines, quote_rejection_reasons
from spark_streaming.settings import StreamSettings
from spark_streaming.sink.influxdb import ToLines, WriteTarget

# key, value and own time of records -> the `Reason` of each rejection as text; null where the message is valid
RejectionReasons = Callable[[pa.Array, pa.Array, pa.Array], pa.Array]


@dataclass(frozen=True)
class Feed:
    """One of the two kinds of data, bars or quotes: its topics, its target and its rules."""

    name: str  # of its query, and in the log
    asset: str  # Dagster's key of what it makes
    topic: str
    dead_letter_topic: str
    target: WriteTarget
    to_lines: ToLines
    rejection_reasons: RejectionReasons
    folder: Path  # of its state; the bars' is the program's own
    tasks: int  # that write at the same time
    trigger_milliseconds: int
    starting_offsets: Mapping[int, int]  # partition -> where it begins without a checkpoint; others: at their first

    @property
    def checkpoint(self) -> Path:
        """The folder of Spark's checkpoint: without it the topic is read from its start, which changes no point."""
        return self.folder / "checkpoint"

    @property
    def description(self) -> str:
        """The topic and the bucket, for people."""
        return f"{self.topic} into {self.target.bucket}"


def bar_feed(settings: StreamSettings) -> Feed:
    """Return the feed of the bars."""
    return Feed(
        name="bars",
        asset="influxdb/stock_price_v1",
        topic=settings.names.topic,
        dead_letter_topic=settings.names.dead_letter_topic,
        target=settings.target,
        to_lines=bar_lines,
        rejection_reasons=rejection_reasons,
        folder=settings.stream_state,
        tasks=settings.write_tasks,
        trigger_milliseconds=settings.trigger_milliseconds,
        starting_offsets=settings.starting_offsets,
    )


def quote_feed(settings: StreamSettings) -> Feed | None:
    """Return the feed of the quotes; None where there are none.

    It has one task and a slower trigger, so that it takes little from the bars.
    """
    if not settings.stock_quote_kafka_topic:
        return None
    return Feed(
        name="quotes",
        asset="influxdb/stock_quote_v1",
        topic=settings.names.quote_topic,
        dead_letter_topic=settings.names.quote_dead_letter_topic,
        target=replace(settings.target, measurement=QUOTE_MEASUREMENT, precision="ns"),
        to_lines=quote_lines,
        rejection_reasons=quote_rejection_reasons,
        folder=settings.stream_state / "quotes",
        tasks=1,
        trigger_milliseconds=settings.quote_trigger_milliseconds,
        starting_offsets={},
    )
