"""The state of a topic in Kafka, compared with the checkpoint: lost messages are reported, never skipped."""

from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec

from spark_streaming.kafka.checkpoint import Checkpoint, Offsets, remedy

_TIMEOUT_MS = 10_000


@dataclass(frozen=True)
class TopicState:
    """A topic in Kafka. One that is deleted and created again under its name has another id."""

    name: str
    id: str
    begin: Offsets
    end: Offsets


class TopicReader:
    """Reads the state of one topic, over one connection."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._admin = KafkaAdminClient(
            bootstrap_servers=bootstrap_servers.split(","),
            bootstrap_timeout_ms=_TIMEOUT_MS,
            request_timeout_ms=_TIMEOUT_MS,
            client_id="stream-watch",
        )

    def read_state(self) -> TopicState | None:
        """Return the topic now; None where there is none.

        Raises:
            kafka.errors.KafkaError: Kafka doesn't answer.
        """
        (found,) = self._admin.describe_topics([self._topic])
        if not found["partitions"]:
            return None
        partitions = [TopicPartition(self._topic, one["partition_index"]) for one in found["partitions"]]
        begin, end = (
            {at.partition: one.offset for at, one in self._admin.list_partition_offsets(requested).items()}
            for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
            for requested in [dict.fromkeys(partitions, spec)]
        )
        return TopicState(self._topic, str(found["topic_id"]), begin, end)

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()


def topic_problem(
    checkpoint: Checkpoint, begun_with: str | None, topic: TopicState | None, checkpoint_folder: Path
) -> str | None:
    """Return why the stream can't continue in `topic` from `checkpoint`; None where it can.

    Args:
        checkpoint: how far the stream has come.
        begun_with: the id of the topic with which the checkpoint began; None where that was not written down.
        topic: as Kafka has it now.
        checkpoint_folder: for the remedy.
    """
    go_on = remedy(checkpoint_folder)
    if topic is None:
        return f"the topic is gone from Kafka. What was not stored yet is lost, unless its source has it still. {go_on}"
    if begun_with is not None and topic.id != begun_with:
        return f"the topic was deleted and created again (its id was {begun_with}, and is {topic.id}). {go_on}"
    if topic.end.keys() != checkpoint.planned.keys():
        return (
            f"the topic has {len(topic.end)} partitions and had {len(checkpoint.planned)}. A symbol may have moved to "
            "another partition, and offsets of two partitions don't compare: publish to a new topic of that many "
            "partitions, and name it by STOCK_PRICE_KAFKA_TOPIC."
        )
    beyond = [p for p, offset in checkpoint.planned.items() if offset > topic.end[p]]
    if beyond:
        return f"the topic ends before what was read of it ({_spans(beyond, topic.end, checkpoint.planned)}). {go_on}"
    gone = [p for p, offset in checkpoint.done.items() if offset < topic.begin[p]]
    if gone:
        return (
            "messages were removed from the topic before they were stored "
            f"({_spans(gone, checkpoint.done, topic.begin)}). Have their source publish them again, and raise the "
            f"topic's retention.bytes (KAFKA_RETENTION_BYTES); then go on with what is there. {go_on}"
        )
    return None


def _spans(partitions: list[int], first: Offsets, end: Offsets) -> str:
    return ", ".join(f"partition {p}: offsets {first[p]} to {end[p] - 1}" for p in sorted(partitions))
