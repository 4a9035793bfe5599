"""The checks of the prices. Each can be run by hand; the sensor records the cheap ones with the same code."""

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.evaluations import accounting, prices, stream_lag
from stock_assets.evaluations.dagster_results import check_result
from stock_assets.evaluations.dead_letters import bar_dead_letters, evaluate_dead_letters
from stock_assets.market.plausibility import FROZEN_BARS, LARGEST_CHANGE
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings

# These read a lot, so they run once a stream has ended, or by hand. The sensor records the others each minute.
_AFTER_EACH_STREAM = dg.AutomationCondition.eager()


@dg.asset_check(
    asset=MEASUREMENT_KEY,
    description="The newest bar that is due, by the exchange's calendar and the source's coverage, is stored.",
)
def prices_are_fresh(
    settings: InjectedSettings, influxdb: InfluxDBResource, postgres: PostgresResource
) -> dg.AssetCheckResult:
    """Compare each symbol's newest bar with the expected one."""
    return check_result(prices.evaluate_price_freshness(settings, influxdb, postgres, now()))


@dg.asset_check(
    asset=MEASUREMENT_KEY,
    description="No message has waited to be stored for longer than a bar may take; an error from five times that.",
)
def stream_keeps_up(settings: InjectedSettings, kafka: KafkaResource) -> dg.AssetCheckResult:
    """Measure how long the oldest message that is not yet stored has been waiting."""
    return check_result(stream_lag.evaluate_stream_lag(settings, stream_lag.partition_lags(settings, kafka), now()))


@dg.asset_check(
    asset=MEASUREMENT_KEY,
    description=(
        "Every published bar that the stream has processed has the values of its newest message, or is dead-lettered; "
        "others are named. Reads what is new in the topic since the last evaluation."
    ),
    automation_condition=_AFTER_EACH_STREAM,
)
def stored_equals_published(
    settings: InjectedSettings, kafka: KafkaResource, influxdb: InfluxDBResource
) -> dg.AssetCheckResult:
    """Compare the topic with the bucket."""
    return check_result(accounting.evaluate_accounting(settings, kafka, influxdb))


@dg.asset_check(
    asset=MEASUREMENT_KEY,
    description=(
        f"No close is more than {LARGEST_CHANGE * 100:.0f} % away from the one before, and none comes {FROZEN_BARS} "
        "times in a row. A split or a halt can cause either, so it only warns."
    ),
    automation_condition=_AFTER_EACH_STREAM,
)
def prices_are_plausible(influxdb: InfluxDBResource) -> dg.AssetCheckResult:
    """Find jumps, and prices that do not change."""
    return check_result(prices.evaluate_plausibility(influxdb))


@dg.asset_check(
    asset=MEASUREMENT_KEY,
    description="No dead letter is open: each was requeued or dismissed.",
)
def no_dead_letters(settings: InjectedSettings, kafka: KafkaResource) -> dg.AssetCheckResult:
    """Count the dead letters that are open. Reads the whole dead-letter topic."""
    return check_result(evaluate_dead_letters(kafka, bar_dead_letters(settings.names)))
