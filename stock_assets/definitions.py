"""The code location: what is in `defs`, the resources, and the policies that hold for all of it."""

import dagster as dg

import stock_assets.defs
from spark_streaming.contract.schema import Source
from stock_assets.defs.company.jobs import refresh_companies
from stock_assets.defs.company.sensors import automation
from stock_assets.defs.prices.jobs import evaluate_all_checks, publish_prices, reprocess_prices, stream_prices
from stock_assets.defs.prices.sensors import evaluate_checks
from stock_assets.defs.programs.jobs import purge_history
from stock_assets.defs.programs.schedules import purge_history_schedule
from stock_assets.defs.programs.sensors import record_and_notify, run_programs
from stock_assets.defs.sessions.assets import make_session_summary
from stock_assets.defs.sessions.jobs import repair_gaps
from stock_assets.defs.sessions.sensors import request_repairs
from stock_assets.operations.asset_metadata import asset_uri
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.program_client import ProgramClient
from stock_assets.resources.spark import SmallSparkResource
from stock_assets.settings import CodeLocationSettings, code_location

_NOT_LIVE = {
    Source.REPLAY: "REPLAY: recorded bars, not live Yahoo data.",
    Source.SIMULATED: "SIMULATED: a random walk, not live Yahoo data.",
}


@dg.definitions
def definitions() -> dg.Definitions:
    """Everything that Dagster shows, labelled with the source in use."""
    settings = code_location()
    loaded = dg.load_assets_from_package_module(stock_assets.defs)
    assets = [asset for asset in loaded if isinstance(asset, dg.AssetsDefinition)]
    assets.append(make_session_summary(settings))
    return dg.Definitions(
        assets=dg.map_asset_specs(lambda spec: _label_with_source(spec, settings), assets),
        asset_checks=dg.load_asset_checks_from_package_module(stock_assets.defs),
        jobs=[
            publish_prices,
            stream_prices,
            evaluate_all_checks,
            refresh_companies,
            reprocess_prices,
            repair_gaps,
            purge_history,
        ],
        schedules=[purge_history_schedule],
        sensors=[
            run_programs,
            evaluate_checks,
            record_and_notify,
            automation,
            request_repairs,
        ],
        resources=_resources(settings),
        # Runs are short, or have one long-lived program, which in-process sees at once when its run is killed.
        executor=dg.in_process_executor,
    )


def _resources(settings: CodeLocationSettings) -> dict[str, object]:
    return {
        "settings": settings,
        "influxdb": InfluxDBResource.from_settings(settings),
        "kafka": KafkaResource.from_settings(settings),
        "postgres": PostgresResource.from_settings(settings),
        "pyspark": SmallSparkResource.from_settings(settings),
        # Longer than a program takes to end: the stream cuts a batch off after 8 s, and the next run repeats it.
        "pipes": ProgramClient(termination_timeout_seconds=60),
    }


def _label_with_source(spec: dg.AssetSpec, settings: CodeLocationSettings) -> dg.AssetSpec:
    """Name the source on every asset, so that other prices can't be mistaken for Yahoo's."""
    source = settings.source
    banner = _NOT_LIVE.get(source)
    return spec.replace_attributes(
        group_name=f"{spec.group_name}{source.suffix.replace('-', '_')}",
        description=f"{banner} {spec.description}" if banner else spec.description,
        owners=["team:market-data"],
        metadata={**spec.metadata, "dagster/uri": asset_uri(settings, spec.key)},
        tags={**spec.tags, "source": source.value},
    )
