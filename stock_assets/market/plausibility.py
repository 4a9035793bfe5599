"""Implausible prices: jumps from one close to the next, and closes that do not change. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise

# A fraction. Of the 12,149 daily moves of the bundled bars 4 are larger: three splits and a profit warning.
LARGEST_CHANGE = 0.25
# A close that comes so often in a row is a feed that repeats its last price; the bundled bars have no more than two.
FROZEN_BARS = 20


@dataclass(frozen=True, slots=True)
class Jump:
    """A close far from the one before; `start` is the start of its bar, in UTC."""

    symbol: str
    interval: str
    start: datetime
    before: float
    after: float

    @property
    def change(self) -> float:
        """The change as a fraction of the close before: -0.5 is a fall by half."""
        return self.after / self.before - 1


def jumps(
    symbol: str, interval: str, closes: Iterable[tuple[datetime, float]], limit: float = LARGEST_CHANGE
) -> list[Jump]:
    """Return the changes of more than `limit` (a fraction) from one close to the next; `closes` are sorted by time."""
    found = [Jump(symbol, interval, at, before, after) for (_, before), (at, after) in pairwise(closes)]
    return [jump for jump in found if abs(jump.change) > limit]


@dataclass(frozen=True, slots=True)
class Standstill:
    """A close that is the same in `bars` bars in a row; the first of them starts at `begin`, in UTC."""

    symbol: str
    interval: str
    begin: datetime
    close: float
    bars: int


def standstills(
    symbol: str, interval: str, closes: Iterable[tuple[datetime, float]], limit: int = FROZEN_BARS
) -> list[Standstill]:
    """Return the closes that are the same in at least `limit` bars in a row; `closes` are sorted by time."""
    runs = [(close, list(bars)) for close, bars in groupby(closes, key=lambda bar: bar[1])]
    return [Standstill(symbol, interval, bars[0][0], close, len(bars)) for close, bars in runs if len(bars) >= limit]
