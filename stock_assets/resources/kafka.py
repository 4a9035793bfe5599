"""Reads Kafka for Dagster: the offsets of topics, and their messages."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

import dagster as dg
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from stock_assets.pipeline.kafka_records import KafkaRecord
from stock_assets.pipeline.lag import PartitionLag
from stock_assets.settings import SharedSettings

_TIMEOUT_MS = 10_000
_POLL_MS = 500
_FETCH_BYTES = 8 * 1024 * 1024
_PEEK_BYTES = 16 * 1024  # the broker sends at least one batch, however large


class KafkaResource(dg.ConfigurableResource):
    """Reads topics; it never commits an offset, so it disturbs no consumer."""

    bootstrap_servers: str

    @classmethod
    def from_settings(cls, settings: SharedSettings) -> Self:
        """Return the brokers that the settings name."""
        return cls(bootstrap_servers=settings.kafka_bootstrap_servers)

    def first_offsets(self, topic: str) -> dict[int, int]:
        """Return partition -> the offset of the oldest message that it still holds; its end where it holds none."""
        consumer = self._consumer()
        try:
            begins = consumer.beginning_offsets(_partitions(consumer, topic))
        finally:
            consumer.close()
        return {at.partition: offset for at, offset in begins.items()}

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return partition -> the offset that the next message will get.

        Raises:
            kafka.errors.KafkaError: the broker can't be reached within ten seconds.
        """
        consumer = self._consumer()
        try:
            ends = consumer.end_offsets(_partitions(consumer, topic))
        finally:
            consumer.close()
        return {at.partition: offset for at, offset in ends.items()}

    def waiting(self, topic: str, done: Mapping[int, int]) -> list[PartitionLag]:
        """Return the messages of each partition that are not stored; `done` is partition -> the offset that comes next.

        Raises:
            kafka.errors.KafkaError: the broker can't be reached within ten seconds.
        """
        consumer = self._consumer(_PEEK_BYTES)
        try:
            partitions = _partitions(consumer, topic)
            ends, begin = consumer.end_offsets(partitions), consumer.beginning_offsets(partitions)
            then = {at: max(done.get(at.partition, 0), begin[at]) for at in partitions}
            oldest = _sent_at(consumer, {at: offset for at, offset in then.items() if offset < ends[at]})
        finally:
            consumer.close()
        return [PartitionLag(at.partition, then[at], ends[at], oldest.get(at)) for at in partitions]

    def offsets_since(self, topic: str, since: datetime) -> dict[int, int]:
        """Return partition -> the offset of the first message that was sent at `since` or later; else its end."""
        consumer = self._consumer(_PEEK_BYTES)
        try:
            found = _sent_since(consumer, _partitions(consumer, topic), since)
        finally:
            consumer.close()
        return {at.partition: offset for at, offset in found.items()}

    def messages(
        self, topic: str, since: datetime | None = None, begin: Mapping[int, int] | None = None
    ) -> Iterator[KafkaRecord]:
        """Yield every message that the topic holds now, partition by partition in the order of offsets.

        With `since` those that were sent then or later; with `begin` those from these offsets on, partition -> offset.
        """
        consumer = self._consumer()
        try:
            partitions = _partitions(consumer, topic)
            consumer.assign(partitions)
            left = {at: end for at, end in consumer.end_offsets(partitions).items() if end > 0}
            first = consumer.beginning_offsets(partitions)
            if since is not None:
                first |= _sent_since(consumer, partitions, since)
            first = {at: max(offset, (begin or {}).get(at.partition, 0)) for at, offset in first.items()}
            left = {at: end for at, end in left.items() if first[at] < end}
            for at in partitions:
                consumer.seek(at, first[at])
            received_at = time.monotonic()
            while left:
                polled = consumer.poll(timeout_ms=_POLL_MS, max_records=10_000)
                for at, records in polled.items():
                    end = left.get(at, 0)  # later messages are left out
                    for record in records:
                        if record.offset < end:
                            yield _message(record)
                # By position, not by the last record's offset: a transaction ends in a marker, which is no message.
                done = [at for at, end in left.items() if consumer.position(at) >= end]
                for at in done:
                    del left[at]
                if polled or done:
                    received_at = time.monotonic()
                elif time.monotonic() - received_at > _TIMEOUT_MS / 1000:
                    raise _no_message(left)
        finally:
            consumer.close()

    def _consumer(self, fetch_bytes: int = _FETCH_BYTES) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self.bootstrap_servers.split(","),
            enable_auto_commit=False,
            bootstrap_timeout_ms=_TIMEOUT_MS,
            request_timeout_ms=_TIMEOUT_MS,
            max_partition_fetch_bytes=fetch_bytes,
        )


def _partitions(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise LookupError(f"Kafka has no topic {topic}; `stocks up` creates it")
    return [TopicPartition(topic, number) for number in sorted(numbers)]


def _sent_since(
    consumer: KafkaConsumer, partitions: Sequence[TopicPartition], since: datetime
) -> dict[TopicPartition, int]:
    """The offset of each partition's first message that was sent at `since` or later; its end where there is none."""
    found = consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
    ends = consumer.end_offsets(partitions)
    return {at: ends[at] if found[at] is None else found[at].offset for at in partitions}


def _sent_at(consumer: KafkaConsumer, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, datetime]:
    """When the messages at these offsets were sent; all of them are there."""
    consumer.assign(list(offsets))
    for at, offset in offsets.items():
        consumer.seek(at, offset)
    found: dict[TopicPartition, datetime] = {}
    while len(found) < len(offsets):
        polled = consumer.poll(timeout_ms=_TIMEOUT_MS)
        if not polled:
            raise _no_message({at: offset for at, offset in offsets.items() if at not in found})
        for at, records in polled.items():
            found.setdefault(at, datetime.fromtimestamp(records[0].timestamp / 1000, UTC))
            consumer.pause(at)
    return found


def _no_message(due: Mapping[TopicPartition, int]) -> TimeoutError:
    return TimeoutError(f"Kafka gave no message within {_TIMEOUT_MS // 1000} s; these were due: {due}")


def _message(record: ConsumerRecord) -> KafkaRecord:
    sent_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    headers = dict(record.headers)
    return KafkaRecord(record.topic, record.partition, record.offset, record.key, record.value, headers, sent_at)
