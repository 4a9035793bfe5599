from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine, inspect, text

from infra.settings import StackSettings
from spark_streaming.contract.schema import Source
from stock_assets.market.bars import CompanyInfo
from stock_assets.market.coverage import Coverage
from stock_assets.settings import IngestSettings
from stock_assets.store.companies import read_companies, write_companies
from stock_assets.store.coverage import read_coverage, write_coverage
from stock_assets.store.engine import engine_of
from stock_assets.store.migrate import upgrade
from stock_assets.store.tables import metadata
from stock_assets.store.watchlist import (
    add_to_watchlist,
    read_watchlist,
    remove_from_watchlist,
    seed_watchlist,
)

pytestmark = pytest.mark.services

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FRIDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 23)


@pytest.fixture
def engine(postgres_server: StackSettings) -> Iterator[Engine]:
    """The schema of source simulated, migrated twice, empty."""
    settings = IngestSettings(stocks_home=postgres_server.stocks_home, source=Source.SIMULATED)
    upgrade(settings)
    upgrade(settings)
    engine = engine_of(settings.postgres)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE watchlist"))
    yield engine
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE stock_info, ingest_coverage, watchlist"))
    engine.dispose()


def test_the_migrations_make_what_the_code_expects(engine: Engine) -> None:
    made = inspect(engine)
    assert made.default_schema_name == "stocks_simulated"
    for table in metadata.sorted_tables:
        columns = {column["name"]: column["nullable"] for column in made.get_columns(table.name)}
        assert columns == {column.name: column.nullable for column in table.columns}


def test_a_second_run_on_a_day_updates_and_company_shows_the_newest_row(engine: Engine) -> None:
    write_companies(engine, [CompanyInfo(FRIDAY, "AMZN", shortname="Amazon", marketcap=2_300_000_000_000)])
    write_companies(engine, [CompanyInfo(FRIDAY, "AMZN", shortname="Amazon.com", shortratio=Decimal("1.5"))])
    write_companies(engine, [CompanyInfo(MONDAY, "AMZN", shortname="Amazon on Monday"), CompanyInfo(FRIDAY, "SAP.DE")])
    with engine.connect() as connection:
        history = connection.execute(text("SELECT entry_date, shortname, marketcap FROM stock_info ORDER BY 1, 2"))
        assert [tuple(row) for row in history] == [
            (FRIDAY, "Amazon.com", None),
            (FRIDAY, None, None),
            (MONDAY, "Amazon on Monday", None),
        ]
    newest = read_companies(engine)
    assert [(row["symbol"], row["entry_date"]) for row in newest] == [("AMZN", MONDAY), ("SAP.DE", FRIDAY)]


def test_what_a_person_removed_from_the_watchlist_is_not_seeded_again(engine: Engine) -> None:
    seed_watchlist(engine, ["AMZN", "AAPL"])
    assert remove_from_watchlist(engine, "AMZN")
    assert not remove_from_watchlist(engine, "AMZN")
    seed_watchlist(engine, ["AMZN", "AAPL", "IBM"])
    assert set(read_watchlist(engine)) == {"AAPL", "IBM"}
    assert add_to_watchlist(engine, "AMZN")
    assert not add_to_watchlist(engine, "AMZN")
    assert read_watchlist(engine)[-1] == "AMZN"


def test_coverage_is_replaced_and_read_back_as_it_was(engine: Engine) -> None:
    first = Coverage("AMZN", "1m", "file a", NOON, NOON, "more to come", NOON)
    last = Coverage("AMZN", "1m", "file b", NOON, None, "end of file", None)
    other = Coverage("AMZN", "1d", "file a", NOON, NOON, "more to come", NOON)
    write_coverage(engine, [first, other])
    write_coverage(engine, [last])
    write_coverage(engine, [])
    assert sorted(read_coverage(engine), key=lambda row: row.interval) == [other, last]
