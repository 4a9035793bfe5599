"""The check of the sessions."""

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.defs.sessions.conditions import SUMMARY_KEY
from stock_assets.evaluations.dagster_results import check_result
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.settings import InjectedSettings
from stock_assets.sessions import completeness


@dg.asset_check(
    asset=SUMMARY_KEY,
    description=(
        "The newest session of each symbol that is over has every bar that its exchange's calendar expects. What the "
        "source has been asked for and has none of, as in a halt, is shown and is no failure. After a failure the "
        "sensor request_repairs has the source asked again, once a session."
    ),
)
def session_is_complete(
    settings: InjectedSettings, kafka: KafkaResource, influxdb: InfluxDBResource, postgres: PostgresResource
) -> dg.AssetCheckResult:
    """Compare the stored bars with the calendar. It runs with each summary, and by hand."""
    return check_result(completeness.evaluate_sessions(settings, kafka, influxdb, postgres, now()))
