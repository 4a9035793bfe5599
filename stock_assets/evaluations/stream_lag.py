"""How many messages wait to be stored, and whether the stream keeps up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from spark_streaming.contract.heartbeat import behind, read_heartbeat
from spark_streaming.contract.process_lock import is_locked
from spark_streaming.contract.schema import Source
from stock_assets.evaluations.evaluation import STACK_STARTUP_GRACE, Cell, CheckSeverity, Evaluation, format_time
from stock_assets.pipeline.lag import SEVERE_FACTOR, PartitionLag, lag_time
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import CodeLocationSettings


def partition_lags(settings: CodeLocationSettings, kafka: KafkaResource) -> list[PartitionLag]:
    """Return the messages of each partition that the stream has not processed, by its last heartbeat."""
    heartbeat = read_heartbeat(settings.state_of("stream"))
    return kafka.waiting(settings.names.topic, heartbeat.offsets if heartbeat else {})


def evaluate_stream_lag(settings: CodeLocationSettings, found: Sequence[PartitionLag], now: datetime) -> Evaluation:
    """Evaluate whether no message has been waiting to be stored for longer than a bar may take."""
    behind, messages = lag_time(found, now), sum(partition.messages for partition in found)
    allowed = timedelta(seconds=settings.freshness_grace_seconds)
    starting = now - settings.stack_started_at < STACK_STARTUP_GRACE
    severity = CheckSeverity.ERROR if behind > SEVERE_FACTOR * allowed else CheckSeverity.WARN
    if messages:
        summary = f"{messages:,} messages wait to be stored, the oldest for {behind.total_seconds():,.0f} s"
    else:
        summary = "every message is stored"
    return Evaluation(
        "stream_keeps_up",
        behind <= allowed or starting,
        summary,
        [_waiting_row(partition, now) for partition in found],
        {"lag_seconds": behind.total_seconds(), "lag_messages": messages},
        severity,
    )


def _waiting_row(partition: PartitionLag, now: datetime) -> dict[str, Cell]:
    return {
        "partition": partition.partition,
        "next_offset": partition.next_offset,
        "end_offset": partition.end_offset,
        "waiting": partition.messages,
        "oldest_sent_at": format_time(partition.oldest_sent_at),
        "lag_seconds": round(partition.age(now).total_seconds(), 1),
    }


def message_lag(settings: CodeLocationSettings, kafka: KafkaResource) -> int:
    """Return how many messages of the topic the stream has not processed, by its last heartbeat."""
    heartbeat = read_heartbeat(settings.state_of("stream"))
    done = heartbeat.offsets if heartbeat else {}
    ends = kafka.end_offsets(settings.names.topic)
    return behind(ends, done)


def is_replaying(settings: CodeLocationSettings, lag_time: int, now: datetime) -> bool:
    """Return whether recorded bars are on their way at a speed at which "late" means nothing."""
    if settings.source is not Source.REPLAY:
        return False
    if is_locked(settings.state_of("ingest")):
        return True
    producer = read_heartbeat(settings.state_of("ingest"))
    grace = timedelta(seconds=settings.freshness_grace_seconds)
    return lag_time > 0 and (producer is None or now - producer.written_at < grace)
