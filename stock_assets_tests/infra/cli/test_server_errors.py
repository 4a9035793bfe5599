"""Tables of another version, on a real PostgreSQL: a message and exit code 9."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from infra.cli.console import as_stack_error
from infra.host.errors import Exit
from stock_assets.settings import IngestSettings
from stock_assets.store.coverage import read_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade

pytestmark = pytest.mark.services


@pytest.fixture
def engine(simulated_tables: IngestSettings) -> Iterator[Engine]:
    engine = make_engine(simulated_tables.postgres)
    yield engine
    engine.dispose()


@contextmanager
def changed(engine: Engine, change: str, back: str) -> Iterator[None]:
    run(engine, change)
    try:
        yield
    finally:
        run(engine, back)


def run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_a_newer_revision_is_a_home_of_another_version(engine: Engine, simulated_tables: IngestSettings) -> None:
    with engine.begin() as connection:
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    newer, back = (f"UPDATE alembic_version SET version_num = '{number}'" for number in ("9999", revision))
    with changed(engine, newer, back), pytest.raises(Exception) as raised:  # noqa: PT011 - its meaning is tested
        upgrade(simulated_tables)
    meaning = as_stack_error(raised.value)
    assert meaning is not None
    assert meaning.code is Exit.OTHER_VERSION
    assert "newer version of stocks" in str(meaning)
    upgrade(simulated_tables)


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("ALTER TABLE ingest_coverage RENAME TO other", "ALTER TABLE other RENAME TO ingest_coverage"),
        (
            "ALTER TABLE ingest_coverage RENAME COLUMN symbol TO other",
            "ALTER TABLE ingest_coverage RENAME COLUMN other TO symbol",
        ),
    ],
    ids=["table", "column"],
)
def test_a_missing_table_or_column_is_named(engine: Engine, change: str, back: str) -> None:
    with changed(engine, change, back), pytest.raises(Exception) as raised:  # noqa: PT011
        read_coverage(engine)
    meaning = as_stack_error(raised.value)
    assert meaning is not None
    assert meaning.code is Exit.OTHER_VERSION
    assert "does not exist" in str(meaning)
