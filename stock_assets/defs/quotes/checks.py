"""The checks of the quotes."""

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.defs.quotes.assets import QUOTE_MEASUREMENT_KEY
from stock_assets.evaluations import quotes
from stock_assets.evaluations.dagster_results import check_result
from stock_assets.evaluations.dead_letters import evaluate_dead_letters, quote_dead_letters
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings


@dg.asset_check(
    asset=QUOTE_MEASUREMENT_KEY,
    description="While an exchange of watched symbols is open, quotes of it arrive. Reports whether they are polled.",
)
def quotes_are_fresh(
    settings: InjectedSettings, influxdb: InfluxDBResource, postgres: PostgresResource
) -> dg.AssetCheckResult:
    """Compare each exchange's newest quote with the clock."""
    return check_result(quotes.evaluate_quote_freshness(settings, influxdb, postgres, now()))


@dg.asset_check(
    asset=QUOTE_MEASUREMENT_KEY,
    description="No dead letter of quotes is open: each was requeued or dismissed.",
)
def no_quote_dead_letters(settings: InjectedSettings, kafka: KafkaResource) -> dg.AssetCheckResult:
    """Count the dead letters that are open. Reads the whole dead-letter topic."""
    return check_result(evaluate_dead_letters(kafka, quote_dead_letters(settings.names)))
