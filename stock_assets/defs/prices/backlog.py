"""What waits to be stored, and whether the stream keeps up with it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from spark_streaming.contract.lifecycle import behind, is_locked, read_heartbeat
from spark_streaming.contract.schema import Source
from stock_assets.defs.judgement import START_UP, Judgement, text_of
from stock_assets.market.lag import SEVERE, Waiting, lag
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import CodeLocationSettings


def waiting(settings: CodeLocationSettings, kafka: KafkaResource) -> list[Waiting]:
    """What of each partition the stream has not yet done with, by its own last word."""
    heartbeat = read_heartbeat(settings.state_of("stream"))
    return kafka.waiting(settings.names.topic, heartbeat.offsets if heartbeat else {})


def keeping_up(settings: CodeLocationSettings, found: Sequence[Waiting], now: datetime) -> Judgement:
    """Whether no message has been waiting to be stored for longer than a bar may take."""
    behind, messages = lag(found, now), sum(partition.messages for partition in found)
    allowed = timedelta(seconds=settings.freshness_grace_seconds)
    starting = now - settings.stack_started_at < START_UP
    severity = dg.AssetCheckSeverity.ERROR if behind > SEVERE * allowed else dg.AssetCheckSeverity.WARN
    if messages:
        summary = f"{messages:,} messages wait to be stored, the oldest for {behind.total_seconds():,.0f} s"
    else:
        summary = "every message is stored"
    return Judgement(
        "stream_keeps_up",
        behind <= allowed or starting,
        summary,
        [_waiting_row(partition, now) for partition in found],
        {"lag_seconds": behind.total_seconds(), "lag_messages": messages},
        severity,
    )


def _waiting_row(partition: Waiting, now: datetime) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "partition": partition.partition,
            "next_offset": partition.next_offset,
            "end_offset": partition.end_offset,
            "waiting": partition.messages,
            "oldest_sent_at": text_of(partition.oldest_sent_at),
            "lag_seconds": round(partition.age(now).total_seconds(), 1),
        }
    )


def lag_of(settings: CodeLocationSettings, kafka: KafkaResource) -> int:
    """Messages in the topic that the stream has not yet done with, by its own last word."""
    heartbeat = read_heartbeat(settings.state_of("stream"))
    done = heartbeat.offsets if heartbeat else {}
    ends = kafka.end_offsets(settings.names.topic)
    return behind(ends, done)


def is_replaying(settings: CodeLocationSettings, lag: int, now: datetime) -> bool:
    """Whether recorded bars are on their way at a speed at which "late" means nothing."""
    if settings.source is not Source.REPLAY:
        return False
    if is_locked(settings.state_of("ingest")):
        return True
    producer = read_heartbeat(settings.state_of("ingest"))
    grace = timedelta(seconds=settings.freshness_grace_seconds)
    return lag > 0 and (producer is None or now - producer.written_at < grace)
