"""What one run of the program has at hand, and when it is to end."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spark_streaming.contract.heartbeat import ProgramState
from spark_streaming.contract.heartbeat_writer import HeartbeatWriter
from spark_streaming.contract.program_control import drain_is_requested
from spark_streaming.runtime.progress import Totals
from spark_streaming.runtime.signals import StopSignals
from spark_streaming.settings import StreamSettings

if TYPE_CHECKING:  # a second to import, and the heartbeat is to beat before that
    from spark_streaming.feed import Feed
    from spark_streaming.runtime.quotes_query import QuotesQuery

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamRun:
    """One run: what is streamed, what is told of it, and by whom it may be ended."""

    settings: StreamSettings
    available_now: bool  # it ends once all that Kafka had at the start is stored
    feed: "Feed"  # of the bars
    totals: Totals
    heartbeat_writer: HeartbeatWriter
    signals: StopSignals


class StopPolicy:
    """Says why the bars' query is to end, and lets the quotes begin and end with it."""

    def __init__(self, run: StreamRun, beside: "QuotesQuery | None") -> None:
        self._run, self._beside = run, beside
        self._drain_since: datetime | None = None

    def why(self) -> str | None:
        """The reason to end now; None to go on. To be asked again and again."""
        run, totals = self._run, self._run.totals
        if run.signals.received is not None:
            if self._beside is not None:
                self._beside.end()  # both at once: there is little time
            return run.signals.received.name
        if self._beside is not None and (totals.batches or totals.idle_at is not None):
            self._beside.begin()
        self._look_for_a_drain_request()
        if self._drain_since is not None and self._nothing_is_left_since(self._drain_since):
            return "nothing is left"
        ends = run.settings.ending_offsets
        if ends and all(totals.offsets.get(partition, 0) >= offset for partition, offset in ends.items()):
            return "all is done up to ENDING_OFFSETS"
        return None

    def _look_for_a_drain_request(self) -> None:
        run = self._run
        if self._drain_since is None and not run.available_now and drain_is_requested(run.settings.stream_state):
            self._drain_since = datetime.now(UTC)
            log.info("asked to end once nothing is left in %s", run.feed.topic)
            run.heartbeat_writer.set_state(ProgramState.DRAINING, "ends once nothing is left to read")

    def _nothing_is_left_since(self, moment: datetime) -> bool:
        idle_at = self._run.totals.idle_at
        if idle_at is None or idle_at <= moment:
            return False
        return self._beside is None or self._beside.is_idle_since(moment)
