"""The verdict on what is stored, on the real InfluxDB."""

from dataclasses import replace

import pytest

from stock_assets.evaluations.prices import evaluate_plausibility
from stock_assets_tests.defs.minutes import FRIDAYS_BARS, Platform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.services


def test_the_summary_names_what_was_examined_or_that_nothing_was(platform: Platform) -> None:
    assert evaluate_plausibility(platform.influxdb).summary == "no bar is stored"
    bars = FRIDAYS_BARS[:10]
    platform.store(bars)
    assert evaluate_plausibility(platform.influxdb).summary.startswith("no jump of more than 25 %")
    half = replace(bars[9], low=bars[9].low / 2, close=bars[9].close / 2)
    platform.store([half])
    verdict = evaluate_plausibility(platform.influxdb)
    assert (verdict.passed, verdict.figures["jumps"]) == (False, 1)
