"""The prices: a topic that the producer's run fills, and a measurement that the stream's run fills from it."""

from collections.abc import Iterator

import dagster as dg

from stock_assets.defs.quotes.assets import QUOTE_MEASUREMENT, QUOTE_TOPIC
from stock_assets.operations.program_runs import run_program
from stock_assets.resources.program_client import ProgramClient
from stock_assets.resources.settings import InjectedSettings

TOPIC_KEY = dg.AssetKey(["kafka", "real_time_stock_prices"])
MEASUREMENT_KEY = dg.AssetKey(["influxdb", "stock_price_v1"])


TOPIC = dg.AssetSpec(
    TOPIC_KEY,
    group_name="prices",
    kinds={"kafka", "python"},
    description=(
        "Bars as the source gives them, one JSON message each, keyed by symbol. Its run is the producer: it runs as "
        "long as the source has bars that are not covered yet, and ends with its totals."
    ),
)


@dg.multi_asset(specs=[TOPIC, QUOTE_TOPIC])
def producer(
    context: dg.AssetExecutionContext, settings: InjectedSettings, pipes: ProgramClient
) -> Iterator[dg.PipesExecutionResult]:
    """Publish what is not covered, and the quotes of that time."""
    environment = settings.ingest_environment()
    yield from run_program(context, pipes, "stock_assets.ingest", environment, settings.state_of("ingest"))


MEASUREMENT = dg.AssetSpec(
    MEASUREMENT_KEY,
    deps=[TOPIC_KEY],
    group_name="prices",
    kinds={"influxdb", "spark"},
    description=(
        "The bars, queryable: tags symbol and interval, fields open, high, low, close and volume, time of the bar's "
        "start. Its run is a Spark Structured Streaming job that writes every message of the topic, or puts it into "
        "the dead-letter topic with a reason; it runs while messages are expected."
    ),
)


@dg.multi_asset(specs=[MEASUREMENT, QUOTE_MEASUREMENT])
def stream(
    context: dg.AssetExecutionContext, settings: InjectedSettings, pipes: ProgramClient
) -> Iterator[dg.PipesExecutionResult]:
    """Carry the topics into InfluxDB."""
    environment = settings.stream_environment()
    yield from run_program(context, pipes, "spark_streaming", environment, settings.state_of("stream"))
