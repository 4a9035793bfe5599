"""PostgreSQL as Dagster's resource: an engine on the schema of the source in use."""

from functools import cached_property
from typing import Self

import dagster as dg
from sqlalchemy import Engine

from stock_assets.settings import SharedSettings, code_location
from stock_assets.store.engine import make_engine


class PostgresResource(dg.ConfigurableResource):
    """Gives the engine. The password stays out of this configuration, which Dagster's UI shows."""

    host: str
    port: int
    database: str

    @classmethod
    def from_settings(cls, settings: SharedSettings) -> Self:
        """The database that the settings name."""
        return cls(host=settings.postgres_host, port=settings.postgres_port, database=settings.postgres_dbname)

    @cached_property
    def engine(self) -> Engine:
        """An engine whose search path is the source's schema, as its owner."""
        settings = code_location()
        url = settings.postgres_url(settings.postgres_user, settings.postgres_password, self.database)
        return make_engine(url.set(host=self.host, port=self.port))
