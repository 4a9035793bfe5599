"""How long the oldest message that is not yet stored has been waiting. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SEVERE_FACTOR = 5  # times the allowed lag: then it is an error


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """What of a partition is not stored. `oldest_sent_at` is by the sender's clock, UTC; None where nothing waits."""

    partition: int
    next_offset: int  # the first that is not stored
    end_offset: int  # the one that the next message will get
    oldest_sent_at: datetime | None

    @property
    def messages(self) -> int:
        """How many wait."""
        return max(0, self.end_offset - self.next_offset)

    def age(self, now: datetime) -> timedelta:
        """Return how long the oldest message has been waiting."""
        return max(now - self.oldest_sent_at, timedelta(0)) if self.oldest_sent_at else timedelta(0)


def lag_time(waiting: Sequence[PartitionLag], now: datetime) -> timedelta:
    """Return how long the oldest message of all partitions has been waiting; zero if none waits."""
    return max((partition.age(now) for partition in waiting), default=timedelta(0))
