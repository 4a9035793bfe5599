"""Reads InfluxDB for Dagster, with a token that can only read."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Self

import dagster as dg
from influxdb_client.client.flux_table import FluxRecord
from influxdb_client.client.influxdb_client import InfluxDBClient
from pydantic import SecretStr

from spark_streaming.contract.flux import EVER, select
from spark_streaming.contract.influxdb_reader import InfluxDBReader
from spark_streaming.contract.schema import PRICE_FIELDS, QUOTE_MEASUREMENT, VOLUME_FIELD
from stock_assets.resources.secrets import with_secrets
from stock_assets.settings import CodeLocationSettings

_TIMEOUT_MS = 30_000

Series = tuple[str, str]  # symbol, interval


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """What is stored of one symbol and interval; times are starts of bars, in UTC."""

    points: int
    oldest: datetime
    newest: datetime


class InfluxDBResource(dg.ConfigurableResource):
    """Reads one bucket. The token is none of its public fields, which Dagster's UI shows."""

    _token: ClassVar[SecretStr] = SecretStr("")
    url: str
    org: str
    bucket: str
    measurement: str

    @classmethod
    def from_settings(cls, settings: CodeLocationSettings) -> Self:
        """Return the bucket of the settings' source."""
        return with_secrets(cls, _token=settings.influx_read_token)(
            url=settings.influxdb_url,
            org=settings.influx_org,
            bucket=settings.names.bucket,
            measurement=settings.influxdb_measurement,
        )

    def newest(self) -> dict[Series, datetime]:
        """Return series -> the start of its newest stored bar.

        Raises:
            influxdb_client.rest.ApiException: InfluxDB rejected the query, or has no such bucket.
            urllib3.exceptions.HTTPError: it can't be reached.
        """
        return {_series(record): record.get_time() for record in self._query("|> last()")}

    def newest_quotes(self, since: datetime) -> dict[str, datetime]:
        """Return symbol -> the time of its newest stored quote; symbols without one from `since` on are left out."""
        flux = f"{select(self.bucket, QUOTE_MEASUREMENT, since, EVER[1], field='price')} |> last()"
        return {record.values["symbol"]: record.get_time() for record in self._records(flux)}

    def oldest(self) -> dict[Series, datetime]:
        """Return series -> the start of its oldest stored bar."""
        return {_series(record): record.get_time() for record in self._query("|> first()")}

    def stored(self) -> dict[Series, StoredSeries]:
        """Return series -> how many bars of it are stored, and which are the first and the last."""
        points = {_series(record): record.get_value() for record in self._query("|> count()")}
        oldest = self.oldest()
        newest = self.newest()
        return {series: StoredSeries(points[series], oldest[series], newest[series]) for series in points}

    def closes(self, bars: int) -> dict[Series, list[tuple[datetime, float]]]:
        """Return series -> start and close of its newest `bars` bars, in the order of time."""
        found: dict[Series, list[tuple[datetime, float]]] = {}
        for record in self._query(f"|> tail(n: {bars})"):
            found.setdefault(_series(record), []).append((record.get_time(), record.get_value()))
        return found

    def points(self, symbol: str, begin: datetime, end: datetime) -> dict[tuple[str, datetime], dict[str, float]]:
        """(interval, start) -> the fields of each bar of `symbol` that starts from `begin` to before `end`."""
        flux = select(self.bucket, self.measurement, begin, end, symbol=symbol)
        found: dict[tuple[str, datetime], dict[str, float]] = {}
        for record in self._records(flux):
            found.setdefault((record.values["interval"], record.get_time()), {})[record.get_field()] = (
                record.get_value()
            )
        return found

    def bars(self, symbol: str, interval: str, first: datetime, last: datetime) -> dict[datetime, tuple[float, ...]]:
        """Return start -> open, high, low, close and volume of each stored bar of a series from `first` to `last`, both
        included.

        Not by InfluxDB's own client: it makes an object of each value, which takes ten times as long.
        """
        end = last + timedelta(seconds=1)
        flux = select(self.bucket, self.measurement, first, end, symbol=symbol, interval=interval)
        reader = InfluxDBReader(self.url, self.org, self._token.get_secret_value())
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for row in reader.rows(f'{flux} |> keep(columns: ["_time", "_field", "_value"])'):
            found[row["_time"]][row["_field"]] = float(row["_value"])
        fields = (*PRICE_FIELDS, VOLUME_FIELD)
        return {
            datetime.fromisoformat(start): tuple(values[field] for field in fields if field in values)
            for start, values in found.items()
        }

    def starts(self, symbol: str, interval: str, begin: datetime, end: datetime) -> set[datetime]:
        """Return the starts of the stored bars of a series from `begin` to before `end`."""
        bars = select(self.bucket, self.measurement, begin, end, symbol=symbol, interval=interval, field="close")
        flux = f'{bars} |> keep(columns: ["_time"])'
        return {record.get_time() for record in self._records(flux)}

    def _query(self, then: str) -> Iterator[FluxRecord]:
        """The close of every bar, a table a series, with `then` done to each table."""
        return self._records(f"{select(self.bucket, self.measurement, *EVER, field='close')} {then}")

    def _records(self, flux: str) -> Iterator[FluxRecord]:
        # By InfluxDB's own client, unlike the other readers: its records have the types of the columns.
        token = self._token.get_secret_value()
        with InfluxDBClient(url=self.url, token=token, org=self.org, timeout=_TIMEOUT_MS) as client:
            yield from client.query_api().query_stream(flux)


def _series(record: FluxRecord) -> Series:
    return record.values["symbol"], record.values["interval"]
