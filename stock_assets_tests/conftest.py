"""Fixtures for all tests."""

from stock_assets_tests.services.dagster_instance import instance, instance_of_the_run
from stock_assets_tests.services.fixtures import (
    connector_jars,
    fresh_bucket,
    fresh_topic,
    influxdb_server,
    kafka_server,
    make_bucket,
    postgres_server,
    servers,
    simulated_tables,
    stack,
)

__all__ = [
    "connector_jars",
    "fresh_bucket",
    "fresh_topic",
    "influxdb_server",
    "instance",
    "instance_of_the_run",
    "kafka_server",
    "make_bucket",
    "postgres_server",
    "servers",
    "simulated_tables",
    "stack",
]
