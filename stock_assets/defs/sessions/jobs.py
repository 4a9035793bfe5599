"""Asking the source again for what a session lacks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.ingest.publisher import Publisher
from stock_assets.market.calendars import session_on
from stock_assets.market.sessions import SeriesSession
from stock_assets.pipeline.completeness import SessionRepair, missing_bars
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.sessions import watched
from stock_assets.sessions.completeness import stored_bars
from stock_assets.sessions.dates import session_dates
from stock_assets.settings import CodeLocationSettings, code_location
from stock_assets.sources.base import BarSource, SourceError
from stock_assets.sources.factory import make_source
from stock_assets.store.sessions import read_repairs, write_repairs


class RepairConfig(dg.Config):
    """Which sessions are repaired."""

    session: str = ""
    """A session date, as 2026-11-20; none: those for which a check has asked."""
    symbols: list[str] = []  # noqa: RUF012 - Dagster's Config is pydantic: each instance gets its own
    """Only these of its symbols; none: all that are watched."""


@dg.op(
    retry_policy=dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL),
    description="Asks the source for the bars that are missing, publishes what it gives, and writes that down.",
)
def refetch_session(
    context: dg.OpExecutionContext, config: RepairConfig, influxdb: InfluxDBResource, postgres: PostgresResource
) -> None:
    """Publishing is all: the stream stores, the sensor sees when, and the summary follows."""
    settings, moment = code_location(), now()
    wanted = _wanted(settings, postgres, config, moment)
    failed = []
    source = make_source(settings)
    with Publisher(settings.kafka_bootstrap_servers, settings.names.topic) as publisher:
        for one, repair in wanted:
            try:
                done = _ask(source, influxdb, publisher, one, repair)
            except SourceError as error:  # one's failure costs no other's bars
                failed.append(f"{one.symbol} {one.session.day}: {error}")
                continue
            write_repairs(postgres.engine, [done])
            context.log.info("%s %s: %d bars given", one.symbol, one.session.day, done.bars_given)
    if failed:
        raise dg.Failure(f"{len(failed)} of {len(wanted)} sessions could not be asked for: " + "; ".join(failed))


def _wanted(
    settings: CodeLocationSettings, postgres: PostgresResource, config: RepairConfig, now: datetime
) -> list[tuple[SeriesSession, SessionRepair]]:
    if not config.session:
        unasked = [r for r in read_repairs(postgres.engine, unfinished=True).values() if r.asked_at is None]
        return [(session_of(settings, repair), repair) for repair in unasked]
    [day] = session_dates([config.session])
    found = []
    for row in watched.watched_coverage(settings, postgres, now):
        if config.symbols and row.symbol not in config.symbols:
            continue
        repair = SessionRepair(day, row.symbol, row.interval, now, 0)
        try:
            found.append((session_of(settings, repair), repair))
        except ValueError:  # its exchange was closed on that day
            continue
    if not found:
        raise dg.Failure(f"No watched symbol of {config.symbols or 'all'} has a session on {day}.", allow_retries=False)
    return found


def session_of(settings: CodeLocationSettings, repair: SessionRepair) -> SeriesSession:
    """The session that a repair is about.

    Raises:
        ValueError: its exchange was closed on that day.
    """
    exchange = watched.calendar_of(settings, repair.symbol)
    if exchange is None:
        raise ValueError(f"no exchange of {repair.symbol} is known")
    return SeriesSession(repair.symbol, repair.interval, session_on(exchange, repair.session_date))


def _ask(
    source: BarSource, influxdb: InfluxDBResource, publisher: Publisher, one: SeriesSession, repair: SessionRepair
) -> SessionRepair:
    stored = stored_bars(influxdb, one)
    missing = set(missing_bars(one, stored))
    given = []
    if missing:
        bars = source.bars_between(one.symbol, one.interval, one.session.opened, one.session.closed)
        given = [bar for bar in bars if bar.start in missing]
        publisher.publish(given)
    asked = replace(repair, bars_stored=len(stored), asked_at=now(), bars_given=len(given))
    return asked if given else replace(asked, finished_at=asked.asked_at)


@dg.job(
    description=(
        "Asks the source again for bars that are missing, and publishes what it gives. Without configuration it is "
        "about the sessions for which a failed session_is_complete has asked; with `session` about that date."
    ),
    tags={"dagster/max_retries": "0"},
)
def repair_gaps() -> None:
    """One op: it is cheap, and asks again by itself where the source refuses."""
    refetch_session()


def finished(
    settings: CodeLocationSettings, influxdb: InfluxDBResource, repairs: Sequence[SessionRepair], now: datetime
) -> list[SessionRepair]:
    """Those of the repairs that need no more: what the source gave is stored, or the bars have come by themselves."""

    def is_finished(repair: SessionRepair) -> bool:
        one = session_of(settings, repair)
        stored = stored_bars(influxdb, one)
        return repair.is_stored(len(stored)) or not missing_bars(one, stored)

    return [replace(repair, finished_at=now) for repair in repairs if is_finished(repair)]
