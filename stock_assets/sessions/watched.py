"""Gathers the inputs of decisions about sessions: coverage, calendars, and the progress of the stream."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from spark_streaming.contract.process_lock import is_locked
from spark_streaming.contract.schema import Source
from stock_assets.evaluations.freshness import bar_exchange
from stock_assets.evaluations.stream_lag import message_lag
from stock_assets.market.sessions import SeriesSession, has_sessions
from stock_assets.market.trading_hours import intervals_since_last_close
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.session_schedule import has_begun, newest_replayed, settled_sessions
from stock_assets.resources.influxdb import Series
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage


def watched_coverage(settings: CodeLocationSettings, postgres: PostgresResource, now: datetime) -> list[Coverage]:
    """Return the coverage of the symbols in use whose bars lie in sessions."""
    rows = make_source(settings).watched_rows(read_coverage(postgres.engine), now)
    return [row for row in rows if has_sessions(row.interval) and known_exchange(settings, row.symbol)]


def known_exchange(settings: CodeLocationSettings, symbol: str) -> str | None:
    """Return the exchange of a symbol; None where it is not known: such a symbol has no sessions here."""
    try:
        return bar_exchange(settings, symbol)
    except ValueError:
        return None


def parts_over(settings: CodeLocationSettings, one: SeriesSession, now: datetime) -> list[SeriesSession]:
    """Return the ended trading intervals whose bars a session is compared with; always with the session itself.

    With EXTENDED_HOURS these are also the hours since the session before it closed, and those after its own close.
    """
    exchange = known_exchange(settings, one.symbol)
    if exchange is None:
        return [one]
    extended = settings.covers_extended_hours(one.interval)
    intervals = intervals_since_last_close(exchange, one.session, extended=extended)
    return [replace(one, session=part) for part in intervals if part == one.session or part.closed <= now]


def all_is_stored(settings: CodeLocationSettings, kafka: KafkaResource) -> bool:
    """Return whether all that was published is stored."""
    return message_lag(settings, kafka) == 0


def settled(
    settings: CodeLocationSettings,
    rows: Sequence[Coverage],
    stored: bool,
    oldest: Mapping[Series, datetime] | None,
    now: datetime,
) -> list[SeriesSession]:
    """Return the sessions of the last days that are over and whose bars have arrived, or should have by now.

    `stored` is whether all that was published is stored; `oldest` has the begin of each series' stored bars: what
    was before it has no sessions (None: as if each had always been there). Of a replay it is the newest session, once
    all is stored: its other ones are a backfill, for a person to ask for.
    """
    exchanges = {row.symbol: exchange for row in rows if (exchange := known_exchange(settings, row.symbol))}
    if settings.source is Source.REPLAY:
        ended = all(row.next_due is None for row in rows) and not is_locked(settings.state_of("ingest"))
        return newest_replayed(rows, exchanges) if ended and stored else []
    return [
        one
        for row in rows
        for one in settled_sessions(row, exchanges[row.symbol], stored, now)
        if oldest is None or has_begun(one.session, oldest.get((row.symbol, row.interval)), row)
    ]
