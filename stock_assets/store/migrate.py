"""Brings a source's schema to what this version of the code needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from stock_assets.settings import IngestSettings
from stock_assets.store.engine import make_engine
from stock_assets.store.watchlist import seed_watchlist


def upgrade(settings: IngestSettings) -> None:
    """Create the tables of the source's schema, or bring them up to date; watch `STOCKS`. Nothing to do is fine.

    Raises:
        sqlalchemy.exc.OperationalError: PostgreSQL can't be reached.
    """
    with alembic(settings) as config:
        command.upgrade(config, "head")
    seed_watchlist(make_engine(settings.postgres), settings.stocks)


def revision(settings: IngestSettings) -> str | None:
    """Return the newest migration that the source's schema has had; None where it has no tables yet.

    Raises:
        sqlalchemy.exc.OperationalError: PostgreSQL can't be reached.
    """
    with make_engine(settings.postgres).connect() as connection:
        options = {"version_table_schema": settings.names.postgres_schema}
        return MigrationContext.configure(connection, opts=options).get_current_revision()


@contextmanager
def alembic(settings: IngestSettings) -> Iterator[Config]:
    """Alembic's configuration for one command on the source's schema, in a transaction."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("stock_assets.store") / "migrations"))
    attributes: dict[str, Any] = config.attributes
    with make_engine(settings.postgres).begin() as connection:
        attributes.update(connection=connection, schema=settings.names.postgres_schema)
        yield config
