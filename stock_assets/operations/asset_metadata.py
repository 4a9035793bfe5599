"""What Dagster's UI shows of an asset besides its runs: its address and its columns."""

import dagster as dg
from sqlalchemy import Table

from spark_streaming.contract.schema import QUOTE_MEASUREMENT
from stock_assets.settings import CodeLocationSettings


def column_schema(table: Table) -> dg.TableSchema:
    """Return the columns of a table, with their types and comments."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=str(column.type).lower(),
                description=column.comment,
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
            )
            for column in table.columns
        ]
    )


def asset_uri(settings: CodeLocationSettings, key: dg.AssetKey) -> str:
    """Return where an asset is: its topic, its bucket and measurement, or its table."""
    system, name = key.path[0], key.path[-1]
    names = settings.names
    is_quotes = "quote" in name
    if system == "kafka":
        return f"kafka://{settings.kafka_bootstrap_servers}/{names.quote_topic if is_quotes else names.topic}"
    if system == "influxdb":
        measurement = QUOTE_MEASUREMENT if is_quotes else settings.influxdb_measurement
        return f"{settings.influxdb_url}/{names.bucket}/{measurement}"
    server = f"{settings.postgres_host}:{settings.postgres_port}"
    return f"postgresql://{server}/{settings.postgres_dbname}/{names.postgres_schema}/{name}"
