"""The parts of one run of the program, and the policy that decides when it ends."""

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

if TYPE_CHECKING:  # takes a second to import, and the heartbeat comes first
    from spark_streaming.feed import Feed
    from spark_streaming.runtime.quotes_query import QuotesQuery

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamRun:
    """The parts of one run."""

    settings: StreamSettings
    available_now: bool  # it ends once all that Kafka had at the start is stored
    feed: "Feed"  # of the bars
    totals: Totals
    heartbeat_writer: HeartbeatWriter
    signals: StopSignals


class StopPolicy:
    """Decides when the bars' query ends, and starts and ends the quotes' query with it."""

    def __init__(self, run: StreamRun, quotes: "QuotesQuery | None") -> None:
        self._run, self._quotes = run, quotes
        self._drain_since: datetime | None = None

    def reason_to_stop(self) -> str | None:
        """Return the reason to stop now; None to go on. It is called repeatedly."""
        run, totals = self._run, self._run.totals
        if run.signals.received is not None:
            if self._quotes is not None:
                self._quotes.end()  # both at once: there is little time
            return run.signals.received.name
        if self._quotes is not None and (totals.batches or totals.idle_at is not None):
            self._quotes.begin()
        self._check_drain_request()
        if self._drain_since is not None and self._is_idle_since(self._drain_since):
            return "nothing is left"
        ends = run.settings.ending_offsets
        if ends and all(totals.offsets.get(partition, 0) >= offset for partition, offset in ends.items()):
            return "all is done up to ENDING_OFFSETS"
        return None

    def _check_drain_request(self) -> None:
        run = self._run
        if self._drain_since is None and not run.available_now and drain_is_requested(run.settings.stream_state):
            self._drain_since = datetime.now(UTC)
            log.info("requested to end once nothing is left in %s", run.feed.topic)
            run.heartbeat_writer.set_state(ProgramState.DRAINING, "ends once nothing is left to read")

    def _is_idle_since(self, moment: datetime) -> bool:
        idle_at = self._run.totals.idle_at
        if idle_at is None or idle_at <= moment:
            return False
        return self._quotes is None or self._quotes.is_idle_since(moment)
