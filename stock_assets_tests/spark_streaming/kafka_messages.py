"""Messages into a topic and out of it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from stock_assets_tests.spark_streaming.cases import BAR

Message = tuple[bytes | None, bytes | None]


@dataclass(frozen=True)
class PublishedRecord:
    """A record as a reader of the topic gets it; headers as text."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, str]


def send(broker: str, topic: str, messages: Iterable[Message], sent: datetime, partition: int | None = None) -> None:
    """Publish `messages` in their order, as if at `sent`; spread by key unless `partition` is given."""
    producer = KafkaProducer(bootstrap_servers=broker, max_request_size=2_000_000, linger_ms=20)
    try:
        time = int(sent.timestamp() * 1000)
        pending = [
            producer.send(topic, key=key, value=value, partition=partition, timestamp_ms=time)
            for key, value in messages
        ]
        for one in pending:
            one.get(timeout=60)
    finally:
        producer.close()


def bars(count: int) -> list[Message]:
    """As many bars of 20 symbols, each at a different minute."""
    first = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    messages: list[Message] = []
    for number in range(count):
        symbol = f"S{number % 20:02d}"
        time = first + timedelta(minutes=number // 20)
        bar = BAR | {"symbol": symbol, "timestamp": f"{time:%Y-%m-%dT%H:%M:%SZ}", "volume": number}
        messages.append((symbol.encode(), json.dumps(bar).encode()))
    return messages


def everything_in(broker: str, topic: str) -> list[PublishedRecord]:
    """Every record that `topic` holds now."""
    consumer = KafkaConsumer(bootstrap_servers=broker, max_partition_fetch_bytes=4_000_000)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        found: list[PublishedRecord] = []
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    headers = {name: value.decode() for name, value in record.headers}
                    found.append(PublishedRecord(record.key, record.value, headers))
        return found
    finally:
        consumer.close()
