"""The jobs of the prices: one a long-lived program, and one that judges everything now."""

import dagster as dg

from stock_assets.defs.prices.assets import MEASUREMENT_KEY, TOPIC_KEY
from stock_assets.defs.quotes.assets import QUOTE_MEASUREMENT_KEY, QUOTE_TOPIC_KEY
from stock_assets.operations.roles import JOB_OF
from stock_assets.pipeline.desired_state import Role

# The sensor starts these two again; a retry by Dagster beside it would make two of a kind.
_NO_RETRY = {"dagster/max_retries": "0"}

publish_prices = dg.define_asset_job(
    JOB_OF[Role.PRODUCER],
    selection=dg.AssetSelection.assets(TOPIC_KEY, QUOTE_TOPIC_KEY).without_checks(),
    description="The producer: source -> Kafka.",
    tags=_NO_RETRY,
)

stream_prices = dg.define_asset_job(
    JOB_OF[Role.STREAM],
    selection=dg.AssetSelection.assets(MEASUREMENT_KEY, QUOTE_MEASUREMENT_KEY).without_checks(),
    description="The stream: Kafka -> InfluxDB.",
    tags=_NO_RETRY,
)

evaluate_all_checks = dg.define_asset_job(
    "evaluate_all_checks",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Every asset check, now.",
)
