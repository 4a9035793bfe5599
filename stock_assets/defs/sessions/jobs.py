"""The job that fetches the missing bars of sessions from the source again."""

from datetime import datetime

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.ingest.publisher import Publisher
from stock_assets.market.sessions import SeriesSession
from stock_assets.pipeline.completeness import SessionRepair
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings
from stock_assets.sessions.dates import session_dates
from stock_assets.sessions.repairs import known_sessions, refetch, watched_repairs
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.base import SourceError
from stock_assets.sources.factory import make_source
from stock_assets.store.session_repairs import read_repairs, write_repairs


class RepairConfig(dg.Config):
    """Which sessions are repaired."""

    session: str = ""
    """A session date, as 2026-11-20; none: those for which a repair was requested."""
    symbols: list[str] = []  # noqa: RUF012 - Dagster's Config is pydantic: each instance gets its own
    """Only these of its symbols; none: all that are watched."""


@dg.op(
    retry_policy=dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL),
    description="Fetches the missing bars from the source, publishes them, and records the repair.",
)
def refetch_session(
    context: dg.OpExecutionContext,
    config: RepairConfig,
    settings: InjectedSettings,
    influxdb: InfluxDBResource,
    postgres: PostgresResource,
) -> None:
    """Only publish: the stream stores the bars, the sensor request_repairs detects that, and the summary follows."""
    moment = now()
    wanted = _wanted(context, settings, postgres, config, moment)
    failed = []
    source = make_source(settings)
    with Publisher(settings.kafka_bootstrap_servers, settings.names.topic) as publisher:
        for one, repair in wanted:
            try:
                done = refetch(settings, source, influxdb, publisher, one, repair)
            except SourceError as error:  # the other sessions are asked for all the same
                failed.append(f"{one.symbol} {one.session.day}: {error}")
                continue
            write_repairs(postgres.engine, [done])
            context.log.info("%s %s: %d bars received", one.symbol, one.session.day, done.bars_given)
    if failed:
        raise dg.Failure(f"{len(failed)} of {len(wanted)} sessions could not be asked for: " + "; ".join(failed))


def _wanted(
    context: dg.OpExecutionContext,
    settings: CodeLocationSettings,
    postgres: PostgresResource,
    config: RepairConfig,
    now: datetime,
) -> list[tuple[SeriesSession, SessionRepair]]:
    if not config.session:
        unasked = [r for r in read_repairs(postgres.engine, unfinished=True).values() if r.asked_at is None]
        wanted, finished = known_sessions(settings, unasked, now)
        for one in finished:
            context.log.warning("%s", one)
        write_repairs(postgres.engine, [one.repair for one in finished])
        return wanted
    [day] = session_dates([config.session])
    found = watched_repairs(settings, postgres, day, config.symbols, now)
    if not found:
        raise dg.Failure(f"No watched symbol of {config.symbols or 'all'} has a session on {day}.", allow_retries=False)
    return found


@dg.job(
    description=(
        "Fetches missing bars from the source again, and publishes them. Without configuration it takes the "
        "sessions that a failed session_is_complete has named; with `session` those of that date."
    ),
)
def repair_gaps() -> None:
    """One op: it is cheap, and retries where the source refuses."""
    refetch_session()
