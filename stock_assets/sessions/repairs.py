"""Repairs of sessions: which are requested, how missing bars are fetched again, and which are finished."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from spark_streaming.contract.clock import now
from stock_assets.ingest.publisher import Publisher
from stock_assets.market.calendars import session_on
from stock_assets.market.sessions import SeriesSession
from stock_assets.pipeline.completeness import SessionRepair, missing_bars
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.sessions import watched
from stock_assets.sessions.completeness import stored_bars
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.base import BarSource


@dataclass(frozen=True)
class FinishedRepair:
    """A repair that needs nothing more, with `finished_at` set, and why."""

    repair: SessionRepair
    reason: str

    def __str__(self) -> str:
        return f"{self.repair.symbol} {self.repair.session_date}: {self.reason}"


def requested_repairs(rows: Iterable[Mapping[str, object]], evaluated_at: datetime) -> list[SessionRepair]:
    """Return the repairs that follow from the rows of an evaluation of session_is_complete."""
    return [
        SessionRepair(
            date.fromisoformat(str(row["session"])),
            str(row["symbol"]),
            str(row["interval"]),
            requested_at=evaluated_at,
            bars_stored=int(str(row["stored"])),
        )
        for row in rows
        if row.get("recoverable")
    ]


def session_of(settings: CodeLocationSettings, repair: SessionRepair) -> SeriesSession:
    """Return the session that a repair is about.

    Raises:
        ValueError: its exchange is not known, or was closed on that day by the calendar of today.
    """
    exchange = watched.known_exchange(settings, repair.symbol)
    if exchange is None:
        raise ValueError(f"no exchange of {repair.symbol} is known")
    return SeriesSession(repair.symbol, repair.interval, session_on(exchange, repair.session_date))


def known_sessions(
    settings: CodeLocationSettings, repairs: Iterable[SessionRepair], now: datetime
) -> tuple[list[tuple[SeriesSession, SessionRepair]], list[FinishedRepair]]:
    """Return the repairs with their sessions; those whose date is no session as finished: nothing can be missing."""
    found, finished = [], []
    for repair in repairs:
        try:
            found.append((session_of(settings, repair), repair))
        except ValueError as error:
            finished.append(FinishedRepair(replace(repair, finished_at=now), f"nothing to repair, {error}"))
    return found, finished


def watched_repairs(
    settings: CodeLocationSettings, postgres: PostgresResource, day: date, symbols: Sequence[str], now: datetime
) -> list[tuple[SeriesSession, SessionRepair]]:
    """Return the sessions of `day`, of `symbols` or of all that are watched; none of an exchange that was closed."""
    rows = [row for row in watched.watched_coverage(settings, postgres, now) if not symbols or row.symbol in symbols]
    return known_sessions(settings, [SessionRepair(day, row.symbol, row.interval, now, 0) for row in rows], now)[0]


def refetch(
    settings: CodeLocationSettings,
    source: BarSource,
    influxdb: InfluxDBResource,
    publisher: Publisher,
    one: SeriesSession,
    repair: SessionRepair,
) -> SessionRepair:
    """Publish the missing bars that the source has; return the repair with its outcome.

    Raises:
        SourceError: the source can't be read.
    """
    parts = watched.parts_over(settings, one, now())
    stored = stored_bars(influxdb, parts)
    missing = {start for part in parts for start in missing_bars(part, stored)}
    received = []
    if missing:
        bars = source.bars_between(one.symbol, one.interval, parts[0].session.opened, parts[-1].session.closed)
        received = [bar for bar in bars if bar.start in missing]
        publisher.publish(received)
    asked = replace(repair, bars_stored=len(stored), asked_at=now(), bars_given=len(received))
    return asked if received else replace(asked, finished_at=asked.asked_at)


def finished_repairs(
    settings: CodeLocationSettings, influxdb: InfluxDBResource, repairs: Iterable[SessionRepair], now: datetime
) -> list[FinishedRepair]:
    """Return the repairs that need nothing more."""
    known, finished = known_sessions(settings, repairs, now)
    for one, repair in known:
        parts = watched.parts_over(settings, one, now)
        stored = stored_bars(influxdb, parts)
        if repair.is_stored(len(stored)):
            finished.append(FinishedRepair(replace(repair, finished_at=now), "what the source gave is stored"))
        elif not any(missing_bars(part, stored) for part in parts):
            finished.append(FinishedRepair(replace(repair, finished_at=now), "its bars have come"))
    return finished
