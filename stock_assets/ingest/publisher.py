"""Bars, or quotes -> Kafka, acknowledged."""

from collections.abc import Sequence
from typing import Protocol, Self

from kafka import KafkaProducer

from spark_streaming.contract.schema import MAX_MESSAGE_BYTES


class Publishable(Protocol):
    """What can be published: a bar, a quote."""

    @property
    def key(self) -> bytes:
        """Kafka's key."""

    @property
    def value(self) -> bytes:
        """Kafka's value."""


class Publisher:
    """Publishes to one topic; what `publish` has returned from is on the broker's disk."""

    def __init__(self, bootstrap_servers: str, topic: str, acknowledge_seconds: int = 120) -> None:
        self._topic, self._seconds = topic, acknowledge_seconds
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap_servers.split(","),
            acks="all",
            enable_idempotence=True,  # a retry inside the client doubles nothing
            linger_ms=20,
            max_request_size=MAX_MESSAGE_BYTES,
            max_block_ms=acknowledge_seconds * 1000,
        )

    def publish(self, messages: Sequence[Publishable]) -> dict[int, int]:
        """Send them and wait for every acknowledgement; returns partition -> offset after the last one sent.

        Raises:
            kafka.errors.KafkaError: one was not acknowledged; those before it may have been. End the program then:
                after a fatal error the client refuses every later message.
        """
        # The record's own timestamp stays the time of sending: the broker's retention would delete a bar that is
        # stamped with its own time, years ago, on arrival.
        sent = [self._producer.send(self._topic, key=one.key, value=one.value) for one in messages]
        self._producer.flush(timeout=self._seconds)
        offsets: dict[int, int] = {}
        for acknowledgement in sent:
            record = acknowledgement.get(timeout=self._seconds)
            offsets[record.partition] = max(record.offset + 1, offsets.get(record.partition, 0))
        return offsets

    def __enter__(self) -> Self:
        """Use as a context: the connection is closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._producer.close(timeout=10)
