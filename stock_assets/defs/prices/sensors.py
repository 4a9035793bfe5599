"""Records verdicts each minute without a run while something is at stake, also while the stream is dead."""

import json
from datetime import datetime, timedelta

import dagster as dg

from spark_streaming.contract.lifecycle import is_locked, now, read_heartbeat
from stock_assets.defs.prices import backlog, judgement
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.defs.quotes.assets import QUOTE_MEASUREMENT_KEY
from stock_assets.defs.quotes.judgement import quote_dead_letters, quote_freshness
from stock_assets.market.lag import Waiting
from stock_assets.market.stake import Judged, at_stake
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import CodeLocationSettings, code_location
from stock_assets.sources.choose import source_of
from stock_assets.store.coverage import read_coverage

_PROGRAMS = ("ingest", "stream")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Records freshness of bars and quotes, stream_keeps_up and dead letters each minute while something is at "
        "stake: an exchange is open, a program is at work, messages wait, a verdict was bad; and once after each "
        "close. A probe that fails makes the tick fail."
    ),
)
def judge_prices(
    context: dg.SensorEvaluationContext,
    kafka: KafkaResource,
    influxdb: InfluxDBResource,
    postgres: PostgresResource,
) -> dg.SensorResult | dg.SkipReason:
    """Judge what is cheap to judge."""
    settings, moment = code_location(), now()
    waiting = backlog.waiting(settings, kafka)
    lag = sum(partition.messages for partition in waiting)
    if backlog.is_replaying(settings, lag, moment):
        return dg.SkipReason(f"the replay is under way: {lag:,} messages are still to be stored")
    if not _why_now(settings, postgres, waiting, _judged(context.cursor), moment):
        return dg.SkipReason("no exchange is open, nothing is under way and the last verdict was good")
    verdicts = [
        judgement.freshness(settings, influxdb, postgres, moment),
        backlog.keeping_up(settings, waiting, moment),
    ]
    quotes = [quote_freshness(settings, influxdb, postgres, moment)]
    # A dead letter stays one until a person acts: that alone keeps nothing at stake.
    passed = all(verdict.passed for verdict in (*verdicts, *quotes))
    verdicts.append(judgement.dead_letters(kafka, settings.names.dead_letter_topic))
    quotes.append(quote_dead_letters(settings, kafka))
    events = [verdict.as_evaluation(MEASUREMENT_KEY) for verdict in verdicts]
    events += [verdict.as_evaluation(QUOTE_MEASUREMENT_KEY) for verdict in quotes]
    return dg.SensorResult(
        asset_events=events,
        cursor=json.dumps({"at": moment.isoformat(), "passed": passed}),
    )


def _why_now(
    settings: CodeLocationSettings,
    postgres: PostgresResource,
    waiting: list[Waiting],
    last: Judged | None,
    now: datetime,
) -> str | None:
    rows = source_of(settings).watched_rows(read_coverage(postgres.engine), now)
    exchanges = {judgement.exchange_of_bars(settings, row.symbol) for row in rows if row.next_due is not None}
    states = [settings.state_of(program) for program in _PROGRAMS]
    beats = [heartbeat.written_at for state in states if (heartbeat := read_heartbeat(state))]
    settle = timedelta(seconds=settings.freshness_grace_seconds + settings.yahoo_delay_seconds)
    busy = "a program is at work" if any(map(is_locked, states)) else ""
    if any(partition.messages for partition in waiting):
        busy = "messages wait to be stored"
    return at_stake(exchanges, settle, last, max(beats, default=None), busy, now)


def _judged(cursor: str | None) -> Judged | None:
    if not cursor:
        return None
    last = json.loads(cursor)
    return Judged(datetime.fromisoformat(last["at"]), last["passed"])
