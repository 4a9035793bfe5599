"""From a feed's topic and checkpoint to the end of its query, whoever wants it to end."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a second to import, and the heartbeat is to beat before that
    from spark_streaming.feed import Feed
    from spark_streaming.runtime.progress import Totals
    from spark_streaming.runtime.query import StreamQuery
    from spark_streaming.runtime.topic_watcher import TopicWatcher
    from spark_streaming.settings import StreamSettings

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1  # how often it is looked whether the query is to end
# A batch that takes longer is cut off: who sent the signal waits some 20 s, and then kills.
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


def supervise(feed: "Feed", stream: "StreamQuery", watch: "TopicWatcher", why_stop: Callable[[], str | None]) -> None:
    """Wait until the query ends by itself, or stop it as soon as `why_stop` gives a reason.

    Raises:
        StreamFailedError: the query failed. Nothing is lost: the next one goes on after the last whole batch.
    """
    try:
        while stream.query.isActive:
            why = why_stop()
            if why is not None:
                _stop(feed, stream, why)
                return
            if watch.problem is not None:
                _stop(feed, stream, "the topic is no longer what it was")
                raise StreamFailedError(f"{feed.description}: {watch.problem}")
            time.sleep(_LOOK_SECONDS)
        stream.settle()
        cause = stream.cause()
        if cause is not None:
            raise StreamFailedError(f"{feed.description}: {watch.cause() or cause}")
    finally:
        stream.forget()


def _stop(feed: "Feed", stream: "StreamQuery", why: str) -> None:
    if not stream.stop(_STOP_PATIENCE_SECONDS):
        log.warning("%s: stopped in the middle of a batch, which the next start does again", feed.name)
    log.info("%s: stopped: %s", feed.name, why)
