"""Connections to PostgreSQL."""

from sqlalchemy import URL, Engine, create_engine


def engine_of(url: URL) -> Engine:
    """An engine that notices dropped connections, and whose sessions speak UTC."""
    return create_engine(url.update_query_dict({"connect_timeout": "10"}), pool_pre_ping=True, pool_size=2)
