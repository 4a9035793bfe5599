"""The evaluation of company facts, on the real PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from stock_assets.evaluations.company_facts import evaluate_company_facts
from stock_assets.resources.postgres import PostgresResource
from stock_assets.store.watchlist import add_to_watchlist
from stock_assets_tests.defs.minutes import Platform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.services


@pytest.fixture
def postgres(platform: Platform) -> Iterator[PostgresResource]:
    with platform.postgres.engine.begin() as connection:
        connection.execute(text("TRUNCATE watchlist, stock_info"))
    yield platform.postgres
    with platform.postgres.engine.begin() as connection:
        connection.execute(text("TRUNCATE watchlist, stock_info"))


def test_a_symbol_that_was_added_a_moment_ago_fails_nothing_until_a_run_could_have_had_it(
    postgres: PostgresResource,
) -> None:
    add_to_watchlist(postgres.engine, "BTC-USD")
    now = datetime.now(UTC)
    result = evaluate_company_facts(["BTC-USD"], postgres, now - timedelta(hours=1), now)
    assert result.passed
    assert "BTC-USD: added lately" in result.summary
    later = now + timedelta(minutes=5)
    result = evaluate_company_facts(["BTC-USD"], postgres, later, later)
    assert not result.passed
    assert result.summary == "no row of BTC-USD"
