"""Bars -> Kafka, acknowledged."""

from collections.abc import Sequence
from typing import Self

from kafka import KafkaProducer

from spark_streaming.contract.schema import MAX_MESSAGE_BYTES
from stock_assets.market.bars import Bar

_ACKNOWLEDGE_SECONDS = 120


class Publisher:
    """Publishes bars to one topic; what `publish` has returned from is on the broker's disk."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap_servers.split(","),
            acks="all",
            enable_idempotence=True,  # a retry inside the client doubles nothing
            linger_ms=20,
            max_request_size=MAX_MESSAGE_BYTES,
        )

    def publish(self, bars: Sequence[Bar]) -> dict[int, int]:
        """Send the bars and wait for every acknowledgement; returns partition -> offset after the last one sent.

        Raises:
            kafka.errors.KafkaError: one was not acknowledged; those before it may have been. End the program then:
                after a fatal error the client refuses every later message.
        """
        # The record's own timestamp stays the time of sending: the broker's retention would delete a bar that is
        # stamped with its own time, years ago, on arrival.
        sent = [self._producer.send(self._topic, key=bar.key, value=bar.value) for bar in bars]
        self._producer.flush(timeout=_ACKNOWLEDGE_SECONDS)
        offsets: dict[int, int] = {}
        for acknowledgement in sent:
            record = acknowledgement.get(timeout=_ACKNOWLEDGE_SECONDS)
            offsets[record.partition] = max(record.offset + 1, offsets.get(record.partition, 0))
        return offsets

    def __enter__(self) -> Self:
        """Use as a context: the connection is closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close(timeout=10)
