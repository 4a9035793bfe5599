"""Checks the topic at the start of a query, each second while it runs, and once more where it has failed."""

import logging
import shutil
from dataclasses import replace
from types import TracebackType
from typing import Self

from kafka.errors import KafkaError

from spark_streaming.contract.periodic import Periodic
from spark_streaming.feed import Feed
from spark_streaming.kafka.checkpoint import Checkpoint, CheckpointError, read_checkpoint
from spark_streaming.kafka.checkpoint_origin import (
    CheckpointOrigin,
    description,
    is_other_database,
    make_target,
    read_origin,
    write_origin,
)
from spark_streaming.kafka.topics import TopicReader, TopicState, topic_problem
from spark_streaming.runtime.progress import Totals
from spark_streaming.settings import StreamSettings

log = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0  # how old the lag is at most


class UnusableTopicError(RuntimeError):
    """The stream can't go on in this topic without losing something; the message has the remedy."""


class TopicWatcher:
    """Keeps the lag current during a long batch, and finds what must end the stream (`problem`)."""

    def __init__(self, settings: StreamSettings, feed: Feed, totals: Totals) -> None:
        self.problem: str | None = None
        self._feed = feed
        self._totals = totals
        self._database = CheckpointOrigin(
            target=make_target(settings.influxdb_url, settings.influx_org, settings.names.bucket),
            measurement=feed.target.measurement,
        )
        self._topic_id: str | None = None  # with which the checkpoint began; None where that is unknown
        self._thread = Periodic(_CHECK_SECONDS, self._check, "watch")
        try:
            self._reader = TopicReader(settings.kafka_bootstrap_servers, feed.topic)
        except KafkaError as error:
            raise UnusableTopicError(
                f"Kafka at {settings.kafka_bootstrap_servers} doesn't answer ({error}). Does it run, and is "
                "KAFKA_BOOTSTRAP_SERVERS its address?"
            ) from None

    def __enter__(self) -> Self:
        """Compare the topic with the checkpoint, and again each second from now on.

        Raises:
            CheckpointError: the checkpoint is damaged.
            UnusableTopicError: the stream can't go on in this topic.
        """
        before = read_origin(self._feed.folder)
        if is_other_database(before, self._database):
            self._drop_checkpoint(before)
        checkpoint = self._checkpoint()
        topic = self._reader.read_state()
        if checkpoint is None:
            if topic is None:
                raise UnusableTopicError("Kafka has no such topic. `stocks up` makes it.")
            begin = {**topic.begin, **self._feed.starting_offsets}
            checkpoint = Checkpoint(begin, begin)
        else:
            self._topic_id = before.id
        found = self._problem(checkpoint, topic)
        if found is not None:
            raise UnusableTopicError(found)
        if topic is not None:  # also a file of an older version lacks values, and one that was set aside is missing
            self._topic_id = topic.id
            write_origin(self._feed.folder, replace(self._database, id=topic.id))
        self._totals.begin(checkpoint.done)
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.__exit__()
        self._reader.close()

    @property
    def partitions(self) -> list[int]:
        """The partitions that the stream reads: no others, even where the topic gets more."""
        return sorted(self._totals.offsets)

    def cause(self) -> str | None:
        """Return the problem of the topic or the checkpoint that made the query fail; None where they have none."""
        try:
            checkpoint = self._checkpoint()
            return self._problem(checkpoint, self._reader.read_state()) if checkpoint else None
        except CheckpointError as error:
            return str(error)
        except KafkaError:
            return None

    def _checkpoint(self) -> Checkpoint | None:
        return read_checkpoint(self._feed.checkpoint, self._feed.topic)

    def _drop_checkpoint(self, before: CheckpointOrigin) -> None:
        """Have the topic read from its start: this database has nothing of what went to the one `before`."""
        log.warning(
            "%s went to %s and now go to %s: the topic is read from its start",
            self._feed.name, description(before), description(self._database),
        )  # fmt: skip
        stale = self._feed.checkpoint.with_name("checkpoint.stale")  # removed in part, it would seem to be damaged
        shutil.rmtree(stale, ignore_errors=True)
        if self._feed.checkpoint.exists():
            self._feed.checkpoint.rename(stale)
            shutil.rmtree(stale, ignore_errors=True)

    def _problem(self, checkpoint: Checkpoint, topic: TopicState | None) -> str | None:
        return topic_problem(checkpoint, self._topic_id, topic, self._feed.checkpoint)

    def _check(self) -> None:
        # The stream goes on meanwhile: the topic's end is compared with what was done before the call, its begin with
        # what was done after. The other way round, it could seem to be beyond the end, or to have lost messages.
        planned = self._totals.figures()["offsets"]
        try:
            topic = self._reader.read_state()
        except KafkaError as error:
            self._totals.set_ends({})  # the lag is unknown
            log.warning("the end of the topic can't be read from Kafka: %s", error)
            return
        done = self._totals.figures()["offsets"]
        self.problem = self.problem or self._problem(Checkpoint(done, planned), topic)
        if topic is not None:
            self._totals.set_ends(topic.end)
