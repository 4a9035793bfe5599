"""The run of a program shows what the program has reported."""

from pathlib import Path

import dagster as dg
import pytest

from stock_assets.definitions import definitions
from stock_assets.operations.program_runs import run_program
from stock_assets.resources.program_client import ProgramClient
from stock_assets_tests.defs.minutes import Platform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.services


def test_a_source_without_quotes_publishes_its_bars_and_the_run_succeeds(platform: Platform) -> None:
    job = definitions().resolve_job_def("publish_prices")
    result = job.execute_in_process(instance=platform.instance)
    assert result.success
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
    assert made == {"kafka/real_time_stock_prices"}
    assert len(platform.published()) == 390 + 380


def test_a_program_that_reports_no_totals_fails_its_run(platform: Platform) -> None:
    @dg.asset
    def silent(context: dg.AssetExecutionContext, pipes: ProgramClient) -> object:
        yield from run_program(context, pipes, "this", {}, Path())  # Python's Zen: it ends with 0

    with pytest.raises(dg.Failure, match="without reporting silent"):
        dg.materialize([silent], instance=platform.instance, resources={"pipes": ProgramClient()})


def test_a_program_that_fails_fails_its_run_with_the_reason(platform: Platform) -> None:
    @dg.asset
    def failing(context: dg.AssetExecutionContext, pipes: ProgramClient) -> object:
        yield from run_program(context, pipes, "no_such_module", {}, Path())

    with pytest.raises(dg.Failure, match="no_such_module ended with exit code 1; its log has the reason"):
        dg.materialize([failing], instance=platform.instance, resources={"pipes": ProgramClient()})
