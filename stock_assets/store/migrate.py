"""Bring a source's schema to what this version of the code needs."""

from importlib import resources
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL

from stock_assets.settings import IngestSettings
from stock_assets.store.engine import make_engine
from stock_assets.store.watchlist import seed_watchlist


def upgrade(settings: IngestSettings) -> None:
    """Create the tables of the source's schema, or bring them up to date; watch `STOCKS`. Nothing to do is fine.

    Raises:
        sqlalchemy.exc.OperationalError: PostgreSQL can't be reached.
    """
    _run(settings.postgres, settings.names.postgres_schema)
    seed_watchlist(make_engine(settings.postgres), settings.stocks)


def _run(url: URL, schema: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files("stock_assets.store") / "migrations"))
    attributes: dict[str, Any] = config.attributes
    with make_engine(url).begin() as connection:
        attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")
