"""Connections to PostgreSQL."""

from functools import lru_cache

from sqlalchemy import URL, Engine, create_engine


@lru_cache
def make_engine(url: URL) -> Engine:
    """The process's engine for `url`: it notices dropped connections, and whose sessions speak UTC."""
    return create_engine(url.update_query_dict({"connect_timeout": "10"}), pool_pre_ping=True, pool_size=2)
