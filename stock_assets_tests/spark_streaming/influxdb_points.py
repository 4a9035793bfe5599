"""What a bucket holds, as a reader sees it."""

from typing import Any

from influxdb_client.client.influxdb_client import InfluxDBClient

from spark_streaming.contract.schema import PIPELINE_MEASUREMENT, QUOTE_MEASUREMENT
from stock_assets_tests.services.fixtures import Bucket

Points = dict[tuple[str, str, int], dict[str, Any]]


def points_in(
    bucket: Bucket, measurement: str | None = None, start: str = "1970-01-01", stop: str = "2100-01-01"
) -> Points:
    """Every bar of `bucket` between two dates, of one measurement or of all: (symbol, interval, seconds since 1970) ->
    fields.
    """
    bars = f'|> filter(fn: (r) => r._measurement == "{measurement}")' if measurement else ""
    query = f"""from(bucket: "{bucket.name}") |> range(start: {start}, stop: {stop})
        |> filter(fn: (r) => r._measurement != "{PIPELINE_MEASUREMENT}" and r._measurement != "{QUOTE_MEASUREMENT}")
        {bars}
        |> keep(columns: ["_time", "_field", "_value", "symbol", "interval"])"""
    points: Points = {}
    with InfluxDBClient(bucket.url, bucket.read_token, org=bucket.org, timeout=60_000) as client:
        for record in client.query_api().query_stream(query):
            at = (record["symbol"], record["interval"], int(record.get_time().timestamp()))
            points.setdefault(at, {})[record.get_field()] = record.get_value()
    return points


def figures_in(bucket: Bucket) -> dict[str, int]:
    """The sums of the stream's own figures."""
    query = f"""from(bucket: "{bucket.name}") |> range(start: 1970-01-01)
        |> filter(fn: (r) => r._measurement == "{PIPELINE_MEASUREMENT}")
        |> filter(fn: (r) => contains(value: r._field, set: ["batches", "records", "points", "rejected"])) |> sum()"""
    with InfluxDBClient(bucket.url, bucket.read_token, org=bucket.org) as client:
        return {record.get_field(): record.get_value() for record in client.query_api().query_stream(query)}
