"""Connections to PostgreSQL."""

from functools import lru_cache

from sqlalchemy import URL, Engine, create_engine


@lru_cache
def make_engine(url: URL) -> Engine:
    """Return the engine for `url`, one a process; it replaces dropped connections."""
    return create_engine(url.update_query_dict({"connect_timeout": "10"}), pool_pre_ping=True, pool_size=2)
