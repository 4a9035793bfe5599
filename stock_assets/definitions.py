"""The code location: what is in `defs`, the resources, and the policies that hold for all of it."""

import dagster as dg

import stock_assets.defs
from spark_streaming.contract.schema import Source
from stock_assets.defs.company.jobs import refresh_companies
from stock_assets.defs.company.sensors import follow_automation
from stock_assets.defs.prices.jobs import judge_everything, publish_prices, stream_prices
from stock_assets.defs.prices.replays import replay_prices
from stock_assets.defs.prices.sensors import judge_prices
from stock_assets.defs.runs.reports import purge_history, report_what_happens
from stock_assets.defs.runs.sensors import keep_prices_flowing
from stock_assets.defs.sessions.assets import session_summary_of
from stock_assets.defs.sessions.partitions import partitions_of
from stock_assets.defs.sessions.repairs import repair_gaps
from stock_assets.defs.sessions.sensors import repair_sessions
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
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
    assets.append(session_summary_of(partitions_of(settings)))
    return dg.Definitions(
        assets=dg.map_asset_specs(lambda spec: _of_source(spec, settings.source), assets),
        asset_checks=dg.load_asset_checks_from_package_module(stock_assets.defs),
        jobs=[publish_prices, stream_prices, judge_everything, refresh_companies, replay_prices, repair_gaps],
        sensors=[
            keep_prices_flowing,
            judge_prices,
            report_what_happens,
            purge_history,
            follow_automation,
            repair_sessions,
        ],
        resources=_resources(settings),
        # Runs are either one long program or short; in-process also lets a program see its run die.
        executor=dg.in_process_executor,
    )


def _resources(settings: CodeLocationSettings) -> dict[str, object]:
    return {
        "influxdb": InfluxDBResource.of(settings),
        "kafka": KafkaResource.of(settings),
        "postgres": PostgresResource.of(settings),
        "pyspark": SmallSparkResource.of(settings),
        # Longer than the worst batch takes to finish, so that a stop loses and repeats nothing.
        "pipes": dg.PipesSubprocessClient(termination_timeout_seconds=60),
    }


def _of_source(spec: dg.AssetSpec, source: Source) -> dg.AssetSpec:
    """Say the source on every asset, so that other prices can't be taken for Yahoo's."""
    banner = _NOT_LIVE.get(source)
    return spec.replace_attributes(
        group_name=f"{spec.group_name}{source.suffix.replace('-', '_')}",
        description=f"{banner} {spec.description}" if banner else spec.description,
        owners=["team:market-data"],
        tags={**spec.tags, "source": source.value},
    )
