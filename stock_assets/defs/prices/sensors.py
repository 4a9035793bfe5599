"""Records verdicts each minute without a run while something is at stake, also while the stream is dead."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from spark_streaming.contract.lifecycle import is_locked, now, read_heartbeat
from stock_assets.defs.letters import COUNTED_EACH_MINUTE, judge_letters, letters_of_bars, letters_of_quotes, written
from stock_assets.defs.prices import backlog, judgement
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.defs.quotes.assets import QUOTE_MEASUREMENT_KEY
from stock_assets.defs.quotes.judgement import quote_freshness
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
        "Records freshness of bars and quotes and stream_keeps_up each minute while something is at stake: an "
        "exchange is open, a program is at work, messages wait, a verdict was bad; and once after each close. Dead "
        "letters are judged when one has come or was settled. A probe that fails makes the tick fail."
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
    last = json.loads(context.cursor) if context.cursor else {}
    boxes = {MEASUREMENT_KEY: letters_of_bars(settings.names), QUOTE_MEASUREMENT_KEY: letters_of_quotes(settings.names)}
    letters = {box.topic: written(kafka, box) for box in boxes.values()}
    have_changed = letters != last.get("letters")
    if not have_changed and not _why_now(settings, postgres, waiting, _judged(last), moment):
        return dg.SkipReason("no exchange is open, nothing is under way and the last verdict was good")
    verdicts = [
        (MEASUREMENT_KEY, judgement.freshness(settings, influxdb, postgres, moment)),
        (MEASUREMENT_KEY, backlog.keeping_up(settings, waiting, moment)),
        (QUOTE_MEASUREMENT_KEY, quote_freshness(settings, influxdb, postgres, moment)),
    ]
    # A dead letter stays one until a person acts, which writes to its topic: that alone keeps nothing at stake.
    passed = all(verdict.passed for _, verdict in verdicts)
    if have_changed:
        verdicts += [(key, judge_letters(kafka, box, COUNTED_EACH_MINUTE)) for key, box in boxes.items()]
    return dg.SensorResult(
        asset_events=[verdict.as_evaluation(key) for key, verdict in verdicts],
        cursor=json.dumps({"at": moment.isoformat(), "passed": passed, "letters": letters}),
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


def _judged(last: Mapping[str, Any]) -> Judged | None:
    return Judged(datetime.fromisoformat(last["at"]), last["passed"]) if last else None
