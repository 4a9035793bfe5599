"""What a bucket holds, as a reader sees it."""

from typing import Any

from influxdb_client.client.influxdb_client import InfluxDBClient

from stock_assets_tests.services.fixtures import Bucket

Points = dict[tuple[str, str, int], dict[str, Any]]


def points_in(bucket: Bucket, start: str = "1970-01-01", stop: str = "2100-01-01") -> Points:
    """Every point of `bucket` between two dates: (symbol, interval, seconds since 1970) -> fields."""
    query = f"""from(bucket: "{bucket.name}") |> range(start: {start}, stop: {stop})
        |> keep(columns: ["_time", "_field", "_value", "symbol", "interval"])"""
    points: Points = {}
    with InfluxDBClient(bucket.url, bucket.read_token, org=bucket.org, timeout=60_000) as client:
        for record in client.query_api().query_stream(query):
            at = (record["symbol"], record["interval"], int(record.get_time().timestamp()))
            points.setdefault(at, {})[record.get_field()] = record.get_value()
    return points
