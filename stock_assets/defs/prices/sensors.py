"""Records verdicts each minute without a run, also while the stream is dead."""

import dagster as dg

from spark_streaming.contract.lifecycle import now
from stock_assets.defs.prices import judgement
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import code_location


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records prices_are_fresh and no_dead_letters each minute. A probe that fails makes the tick fail.",
)
def judge_prices(
    kafka: KafkaResource, influxdb: InfluxDBResource, postgres: PostgresResource
) -> dg.SensorResult | dg.SkipReason:
    """Judge what is cheap to judge."""
    settings, moment = code_location(), now()
    lag = judgement.lag_of(settings, kafka)
    if judgement.is_replaying(settings, lag, moment):
        return dg.SkipReason(f"the replay is under way: {lag:,} messages are still to be stored")
    verdicts = [
        judgement.freshness(settings, influxdb, postgres, moment),
        judgement.dead_letters(settings, kafka),
    ]
    return dg.SensorResult(asset_events=[verdict.as_evaluation() for verdict in verdicts])
