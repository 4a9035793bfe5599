"""Supervises the query of a feed until it ends or is stopped."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # takes a second to import, and the heartbeat comes first
    from spark_streaming.feed import Feed
    from spark_streaming.runtime.progress import Totals
    from spark_streaming.runtime.query import StreamQuery
    from spark_streaming.runtime.topic_watcher import TopicWatcher
    from spark_streaming.settings import StreamSettings

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1  # how often the reasons to stop are checked
# A batch that takes longer is interrupted: the sender of a signal waits some 20 s, and then kills.
_STOP_PATIENCE_SECONDS = 8.0


class StreamFailedError(RuntimeError):
    """A query has ended with an error; the message is its cause."""


@contextmanager
def watch_topic(settings: "StreamSettings", feed: "Feed", totals: "Totals") -> Iterator["TopicWatcher"]:
    """Watch the feed's topic.

    Raises:
        StreamFailedError: the feed can't begin or go on with this topic and this checkpoint.
    """
    from spark_streaming.kafka.checkpoint import CheckpointError
    from spark_streaming.runtime.topic_watcher import TopicWatcher, UnusableTopicError

    try:
        with TopicWatcher(settings, feed, totals) as watch:
            yield watch
    except (CheckpointError, UnusableTopicError) as error:
        raise StreamFailedError(f"{feed.description}: {error}") from None


def supervise(
    feed: "Feed", stream: "StreamQuery", watch: "TopicWatcher", reason_to_stop: Callable[[], str | None]
) -> None:
    """Wait until the query ends, or stop it as soon as `reason_to_stop` gives a reason.

    Raises:
        StreamFailedError: the query failed. Nothing is lost: the next one continues after the last whole batch.
    """
    try:
        while stream.query.isActive:
            reason = reason_to_stop()
            if reason is not None:
                _stop(feed, stream, reason)
                return
            if watch.problem is not None:
                _stop(feed, stream, "the topic has changed")
                raise StreamFailedError(f"{feed.description}: {watch.problem}")
            time.sleep(_LOOK_SECONDS)
        stream.settle()
        cause = stream.cause()
        if cause is not None:
            raise StreamFailedError(f"{feed.description}: {watch.cause() or cause}")
    finally:
        stream.remove_listener()


def _stop(feed: "Feed", stream: "StreamQuery", reason: str) -> None:
    if not stream.stop(_STOP_PATIENCE_SECONDS):
        log.warning("%s: stopped in the middle of a batch, which the next start repeats", feed.name)
    log.info("%s: stopped: %s", feed.name, reason)
