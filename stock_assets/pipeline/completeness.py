"""Whether a session has every bar that it should have, and why bars are missing. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from stock_assets.market.bars import interval_length
from stock_assets.market.sessions import Key, SeriesSession, bar_length, expected_bars
from stock_assets.pipeline.coverage import Coverage


class GapCause(StrEnum):
    """Why a bar is not stored."""

    NOT_ASKED = "not asked for yet"
    NOT_STORED = "given, and not stored"
    NOT_GIVEN = "the source has none"  # a halt, or nobody traded: no fault of the platform

    @property
    def is_recoverable(self) -> bool:
        """Whether the bar can still be had."""
        return self is not GapCause.NOT_GIVEN


@dataclass(frozen=True, slots=True)
class SessionGap:
    """Neighbouring bars that are missing for one cause; `begin` and `end` are starts of bars, both missing."""

    begin: datetime
    end: datetime
    bars: int
    cause: GapCause

    def __str__(self) -> str:
        times = f"{self.begin:%H:%M:%S}" + (f" to {self.end:%H:%M:%S}" if self.bars > 1 else "")
        return f"{times}Z ({self.bars}: {self.cause})"


@dataclass(frozen=True, slots=True)
class Completeness:
    """The evaluation of one session of a symbol and interval; each number counts bars."""

    of: SeriesSession
    expected: int
    stored: int
    received: int  # from the source: stored, or in Kafka
    gaps: Sequence[SessionGap]

    @property
    def recoverable(self) -> int:
        """How many bars are missing that can still be had."""
        return sum(gap.bars for gap in self.gaps if gap.cause.is_recoverable)


@dataclass(frozen=True, slots=True)
class SessionRepair:
    """One row of `session_repair`: the source is asked again for what a session lacks. Times are UTC."""

    session_date: date
    symbol: str
    interval: str
    requested_at: datetime
    bars_stored: int
    asked_at: datetime | None = None
    bars_given: int | None = None
    finished_at: datetime | None = None

    @property
    def key(self) -> Key:
        """The session that it is about."""
        return self.session_date, self.symbol, self.interval

    def is_stored(self, bars: int) -> bool:
        """Return whether all that the source gave is stored, once `bars` of the session are."""
        return self.bars_given is not None and bars >= self.bars_stored + self.bars_given


def missing_bars(one: SeriesSession, stored: Collection[datetime]) -> list[datetime]:
    """Return the starts of the bars that the calendar expects and that are not stored."""
    # Yahoo's last bars of a day may start some seconds off the grid; a bar stands for the slot that it begins in.
    length = bar_length(one.session, one.interval)
    session = one.session
    slots = {(at - session.opened) // length for at in stored if session.opened <= at < session.closed}
    return [at for at in expected_bars(session, one.interval) if (at - session.opened) // length not in slots]


def evaluate_session(
    one: SeriesSession,
    stored: Collection[datetime],
    received: Collection[datetime],
    coverage: Coverage,
    repair: SessionRepair | None,
) -> Completeness:
    """Evaluate which bars of a session are missing, and which of them the source does not have.

    Args:
        one: the session.
        stored: starts of its bars in InfluxDB.
        received: starts of its bars in Kafka.
        coverage: how far the source was asked.
        repair: the repair of the session, if one was requested.
    """
    expected, missing = expected_bars(one.session, one.interval), missing_bars(one, stored)
    asked_again = repair is not None and repair.asked_at is not None
    asked_until = None if coverage.next_due is None or asked_again else coverage.covered_until
    in_kafka = set(received)

    def cause(at: datetime) -> GapCause:
        if at in in_kafka:
            return GapCause.NOT_STORED
        return GapCause.NOT_ASKED if asked_until is not None and at > asked_until else GapCause.NOT_GIVEN

    gaps = _gaps(one, [(at, cause(at)) for at in missing])
    stored_bars = len(expected) - len(missing)
    not_stored = sum(gap.bars for gap in gaps if gap.cause is GapCause.NOT_STORED)
    return Completeness(one, len(expected), stored_bars, stored_bars + not_stored, gaps)


def _gaps(one: SeriesSession, missing: Sequence[tuple[datetime, GapCause]]) -> list[SessionGap]:
    length = interval_length(one.interval)
    gaps: list[SessionGap] = []
    for at, cause in missing:
        last = gaps[-1] if gaps else None
        if last is not None and last.cause is cause and length is not None and at - last.end == length:
            gaps[-1] = SessionGap(last.begin, at, last.bars + 1, cause)
        else:
            gaps.append(SessionGap(at, at, 1, cause))
    return gaps


def combine(one: SeriesSession, parts: Sequence[Completeness]) -> Completeness:
    """Return the evaluations of a session's trading intervals as one of the session `one`."""
    return Completeness(
        one,
        sum(part.expected for part in parts),
        sum(part.stored for part in parts),
        sum(part.received for part in parts),
        [gap for part in parts for gap in part.gaps],
    )
