"""Evaluates checks each minute without a run while prices may change, also while the stream does not run."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from spark_streaming.contract.clock import now
from spark_streaming.contract.heartbeat import read_heartbeat
from spark_streaming.contract.process_lock import is_locked
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.defs.quotes.assets import QUOTE_MEASUREMENT_KEY
from stock_assets.evaluations import prices, stream_lag
from stock_assets.evaluations.dagster_results import check_evaluation
from stock_assets.evaluations.dead_letters import (
    COUNTED_EACH_MINUTE,
    bar_dead_letters,
    evaluate_dead_letters,
    quote_dead_letters,
    record_count,
)
from stock_assets.evaluations.freshness import bar_exchange
from stock_assets.evaluations.quotes import evaluate_quote_freshness
from stock_assets.pipeline.evaluation_policy import LastEvaluation, reason_to_evaluate
from stock_assets.pipeline.lag import PartitionLag
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage

_PROGRAMS = ("ingest", "stream")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Records freshness of bars and quotes and stream_keeps_up each minute while an exchange is open, a "
        "program runs, messages wait or a check failed; and once after each close. Dead letters are counted when one "
        "was written or settled. A server that does not answer fails the tick."
    ),
)
def evaluate_checks(
    context: dg.SensorEvaluationContext,
    settings: InjectedSettings,
    kafka: KafkaResource,
    influxdb: InfluxDBResource,
    postgres: PostgresResource,
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the checks that are cheap."""
    moment = now()
    waiting = stream_lag.partition_lags(settings, kafka)
    lag = sum(partition.messages for partition in waiting)
    if stream_lag.is_replaying(settings, lag, moment):
        return dg.SkipReason(f"the replay is under way: {lag:,} messages are still to be stored")
    last = json.loads(context.cursor) if context.cursor else {}
    topics = {
        MEASUREMENT_KEY: bar_dead_letters(settings.names),
        QUOTE_MEASUREMENT_KEY: quote_dead_letters(settings.names),
    }
    counts = {dead_letter_topic.topic: record_count(kafka, dead_letter_topic) for dead_letter_topic in topics.values()}
    have_changed = counts != last.get("letters")
    if not have_changed and not _why_now(settings, postgres, waiting, _last_evaluation(last), moment):
        return dg.SkipReason("no exchange is open, nothing is under way and the last evaluation passed")
    evaluations = [
        (MEASUREMENT_KEY, prices.evaluate_price_freshness(settings, influxdb, postgres, moment)),
        (MEASUREMENT_KEY, stream_lag.evaluate_stream_lag(settings, waiting, moment)),
        (QUOTE_MEASUREMENT_KEY, evaluate_quote_freshness(settings, influxdb, postgres, moment)),
    ]
    # An open dead letter is no reason to evaluate each minute: whoever settles it writes to its topic.
    passed = all(one.passed for _, one in evaluations)
    if have_changed:
        evaluations += [
            (key, evaluate_dead_letters(kafka, dead_letter_topic, COUNTED_EACH_MINUTE))
            for key, dead_letter_topic in topics.items()
        ]
    return dg.SensorResult(
        asset_events=[check_evaluation(one, key) for key, one in evaluations],
        cursor=json.dumps({"at": moment.isoformat(), "passed": passed, "letters": counts}),
    )


def _why_now(
    settings: CodeLocationSettings,
    postgres: PostgresResource,
    waiting: list[PartitionLag],
    last: LastEvaluation | None,
    now: datetime,
) -> str | None:
    rows = make_source(settings).watched_rows(read_coverage(postgres.engine), now)
    exchanges = {bar_exchange(settings, row.symbol) for row in rows if row.next_due is not None}
    states = [settings.state_of(program) for program in _PROGRAMS]
    heartbeat_times = [heartbeat.written_at for state in states if (heartbeat := read_heartbeat(state))]
    settle = timedelta(seconds=settings.freshness_grace_seconds + settings.yahoo_delay_seconds)
    busy = "a program is at work" if any(map(is_locked, states)) else ""
    if any(partition.messages for partition in waiting):
        busy = "messages wait to be stored"
    extended = settings.covers_extended_hours(settings.bar_interval)
    return reason_to_evaluate(exchanges, settle, last, max(heartbeat_times, default=None), busy, now, extended=extended)


def _last_evaluation(last: Mapping[str, Any]) -> LastEvaluation | None:
    return LastEvaluation(datetime.fromisoformat(last["at"]), last["passed"]) if last else None
