"""When sessions of a source that goes on are due, by the clock: a simulation, on the real servers."""

from datetime import UTC, datetime, timedelta

import pytest

from spark_streaming.contract.schema import Source
from stock_assets import settings
from stock_assets.defs.sessions import conditions
from stock_assets.pipeline.coverage import Coverage
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import write_coverage
from stock_assets_tests.defs.minutes import Platform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.services

BEGUN = datetime(2026, 11, 20, 10, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def simulation(platform: Platform) -> settings.CodeLocationSettings:
    """It began at ten, and its newest bar is the last one of the day; none is stored."""
    values = platform.settings.model_copy(
        update={"source": Source.SIMULATED, "stocks": ("AMZN",), "stack_started_at": BEGUN, "replay_file": None}
    )
    last = MIDNIGHT - timedelta(seconds=1)
    origin = make_source(values).origin
    row = Coverage("AMZN", "1s", origin, last, last, "simulated", MIDNIGHT)
    write_coverage(platform.postgres.engine, [row])
    return values


def test_a_day_is_due_after_its_end_and_none_from_before_the_beginning(
    simulation: settings.CodeLocationSettings,
) -> None:
    assert conditions._due_dates(simulation, MIDNIGHT - timedelta(minutes=1)) == set()
    assert conditions._due_dates(simulation, MIDNIGHT + timedelta(hours=1)) == {"2026-11-20"}
