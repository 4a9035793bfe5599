"""PostgreSQL as Dagster's resource: an engine on the schema of the source in use."""

from functools import cached_property
from typing import ClassVar, Self

import dagster as dg
from sqlalchemy import URL, Engine

from stock_assets.resources.secrets import with_secrets
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.engine import make_engine


class PostgresResource(dg.ConfigurableResource):
    """Gives the engine. The password is none of its public fields, which Dagster's UI shows."""

    _url: ClassVar[URL]
    host: str
    port: int
    database: str

    @classmethod
    def from_settings(cls, settings: CodeLocationSettings) -> Self:
        """Return the database that the settings name."""
        return with_secrets(cls, _url=settings.postgres)(
            host=settings.postgres_host, port=settings.postgres_port, database=settings.postgres_dbname
        )

    @cached_property
    def engine(self) -> Engine:
        """An engine whose search path is the source's schema, as its owner."""
        return make_engine(self._url.set(host=self.host, port=self.port, database=self.database))
