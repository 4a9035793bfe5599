"""What a migration does to the rows that a schema of the version before holds."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib import resources

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from stock_assets.settings import IngestSettings
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade

pytestmark = pytest.mark.services

INSERT = text("INSERT INTO corporate_action VALUES (:symbol, :day, :kind, :value, 'USD', :close)")


@pytest.fixture
def engine(simulated_tables: IngestSettings) -> Iterator[Engine]:
    engine = make_engine(simulated_tables.postgres)
    yield engine
    upgrade(simulated_tables)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE corporate_action"))
    engine.dispose()


def downgrade_to(engine: Engine, settings: IngestSettings, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files("stock_assets.store") / "migrations"))
    with engine.begin() as connection:
        config.attributes.update(connection=connection, schema=settings.names.postgres_schema)
        command.downgrade(config, revision)


def insert(connection: Connection, symbol: str, day: str, kind: str, value: str, close: str | None) -> None:
    number = Decimal(close) if close is not None else None
    values = {"symbol": symbol, "day": date.fromisoformat(day), "kind": kind, "value": Decimal(value), "close": number}
    connection.execute(INSERT, values)


def test_splits_and_dividends_that_are_not_finite_are_deleted_and_can_not_be_stored_again(
    engine: Engine, simulated_tables: IngestSettings
) -> None:
    downgrade_to(engine, simulated_tables, "0006")
    with engine.begin() as connection:
        for symbol, day, kind, value, close in (
            ("ALC.PA", "2024-03-04", "split", "Infinity", "20.5"),
            ("ALC.PA", "2024-02-01", "dividend", "Infinity", "20.5"),
            ("ALC.PA", "2024-01-02", "split", "NaN", None),
            ("AAPL", "2020-08-31", "split", "4", None),
            ("AAPL", "2020-08-07", "dividend", "0.82", "NaN"),
            ("AAPL", "2020-02-07", "dividend", "0.77", "325.21"),
        ):
            insert(connection, symbol, day, kind, value, close)
    upgrade(simulated_tables)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT symbol, value, close_before FROM corporate_action ORDER BY ex_date"))
        assert [(row.symbol, float(row.value), row.close_before and float(row.close_before)) for row in rows] == [
            ("AAPL", 0.77, 325.21),
            ("AAPL", 0.82, None),
            ("AAPL", 4.0, None),
        ]
        connection.execute(text("SELECT * FROM adjustment_factor")).all()  # logarithms: it fails where one is NaN
    for value, close in (("NaN", None), ("Infinity", None), ("2", "NaN"), ("2", "Infinity")):
        with engine.connect() as connection, pytest.raises(IntegrityError):
            insert(connection, "ALC.PA", "2024-03-04", "split", value, close)
