"""Publishes bars or quotes to Kafka and waits until they are acknowledged."""

from collections.abc import Sequence
from typing import Protocol, Self

from kafka import KafkaProducer

from spark_streaming.contract.schema import MAX_MESSAGE_BYTES


class Publishable(Protocol):
    """A message to publish: a bar or a quote."""

    @property
    def key(self) -> bytes:
        """The Kafka key."""

    @property
    def value(self) -> bytes:
        """The Kafka value."""


class Publisher:
    """Publishes to one topic; once `publish` returns, its messages are acknowledged by the broker."""

    def __init__(self, bootstrap_servers: str, topic: str, acknowledge_seconds: int = 120) -> None:
        self._topic, self._seconds = topic, acknowledge_seconds
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap_servers.split(","),
            acks="all",
            enable_idempotence=True,  # a retry inside the client makes no duplicate
            linger_ms=20,
            max_request_size=MAX_MESSAGE_BYTES,
            max_block_ms=acknowledge_seconds * 1000,
        )

    def publish(self, messages: Sequence[Publishable]) -> dict[int, int]:
        """Send the messages and wait for all acknowledgements; returns partition -> offset after its last message.

        Raises:
            kafka.errors.KafkaError: a message was not acknowledged; those before it may have been. Make a new publisher
                then: after a fatal error the client rejects all later messages.
        """
        # The record's timestamp is the time of sending: with a bar's own time, years ago, the broker's retention would
        # delete it at once.
        sent = [self._producer.send(self._topic, key=message.key, value=message.value) for message in messages]
        self._producer.flush(timeout=self._seconds)
        offsets: dict[int, int] = {}
        for acknowledgement in sent:
            record = acknowledgement.get(timeout=self._seconds)
            offsets[record.partition] = max(record.offset + 1, offsets.get(record.partition, 0))
        return offsets

    def __enter__(self) -> Self:
        """Use as a context, which closes the connection at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._producer.close(timeout=10)
