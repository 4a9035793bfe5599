"""When a session is summarised automatically: once it is over and its bars are stored, or an hour later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg
from dagster import AutomationContext, AutomationResult

from spark_streaming.contract.heartbeat import read_heartbeat
from spark_streaming.contract.schema import Source
from stock_assets.market.sessions import SeriesSession
from stock_assets.pipeline.session_schedule import LOOK_BACK, sessions_due
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.sessions import watched
from stock_assets.sessions.dates import DATE
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.session_repairs import read_repairs
from stock_assets.store.session_summaries import read_summarised

_QUIET_TIME = timedelta(minutes=1)  # since the last heartbeat of the stream, before a replay's session is due

SUMMARY_KEY = dg.AssetKey(["postgres", "session_summary"])


def after_each_close(settings: CodeLocationSettings) -> dg.AutomationCondition[dg.AssetKey]:
    """Due sessions that are not being made; one whose run has failed is tried again each hour.

    `on_cron` and `eager` wait for an update of the asset before, and a stream that has stopped reports none; nor does
    one that runs for days. The coverage shows what has arrived, and after an hour nothing is waited for.
    """
    failed = dg.AutomationCondition.execution_failed()
    again = dg.AutomationCondition.cron_tick_passed("0 * * * *")
    return SessionIsDue(settings) & ~dg.AutomationCondition.in_progress() & (~failed | again)


class SessionIsDue(dg.AutomationCondition[dg.AssetKey]):
    """True for the dates on which a session has closed that has no summary yet, or one from before its repair."""

    def __init__(self, settings: CodeLocationSettings) -> None:
        """Keep the settings: Dagster passes no resources to a condition."""
        self._settings = settings

    @property
    def name(self) -> str:
        """As the UI shows it."""
        return "session_is_due"

    @property
    def description(self) -> str:
        """The description in Dagster's UI."""
        return "A session of this date is over, its bars have come or had an hour to, and it is not summarised yet"

    def evaluate(self, context: AutomationContext[dg.AssetKey]) -> AutomationResult[dg.AssetKey]:
        """Ask PostgreSQL and the calendars."""
        known = context.partitions_def
        if known is None:
            return AutomationResult(context, context.get_empty_subset())
        keys = {day for day in _due_dates(self._settings, context.evaluation_time) if known.has_partition_key(day)}
        subset = context.asset_graph_view.get_subset_from_partition_keys(context.key, known, keys)
        return AutomationResult(context, context.candidate_subset.compute_intersection(subset))


def _due_dates(settings: CodeLocationSettings, moment: datetime) -> set[str]:
    if settings.source is Source.REPLAY and not _is_quiet(settings, moment):
        return set()
    postgres = PostgresResource.from_settings(settings)
    rows = watched.watched_coverage(settings, postgres, moment)
    if not _due_of(postgres, watched.settled(settings, rows, True, None, moment), moment):
        return set()  # the other servers are asked only while there is something that may be due
    stored = watched.all_is_stored(settings, KafkaResource.from_settings(settings))
    oldest = InfluxDBResource.from_settings(settings).oldest()
    return _due_of(postgres, watched.settled(settings, rows, stored, oldest, moment), moment)


def _is_quiet(settings: CodeLocationSettings, moment: datetime) -> bool:
    """Whether the stream has written no heartbeat for a while.

    `stocks up --once` ends as soon as all is stored; a summary that began before would be killed with it.
    """
    heartbeat = read_heartbeat(settings.state_of("stream"))
    moved = [settings.stack_started_at] + ([heartbeat.written_at] if heartbeat else [])
    return moment - max(moved) >= _QUIET_TIME


def _due_of(postgres: PostgresResource, settled: Sequence[SeriesSession], moment: datetime) -> set[str]:
    keys = {one.key for one in settled}
    repaired = {
        key: row.finished_at
        for key, row in read_repairs(postgres.engine).items()
        if row.finished_at and row.finished_at > moment - LOOK_BACK and (row.bars_given or key in keys)
    }
    found = sessions_due(settled, read_summarised(postgres.engine, keys | repaired.keys()), repaired)
    return {day.strftime(DATE) for day, _, _ in found}
