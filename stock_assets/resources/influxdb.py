"""What Dagster asks of InfluxDB, with a token that can only read."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import dagster as dg
from influxdb_client.client.flux_table import FluxRecord
from influxdb_client.client.influxdb_client import InfluxDBClient

from spark_streaming.contract.flux import quote_flux
from spark_streaming.contract.schema import PRICE_FIELDS, QUOTE_MEASUREMENT, VOLUME_FIELD
from stock_assets.settings import SharedSettings, code_location

_TIMEOUT_MS = 30_000
# The shortest way to say "ever": a bar may start up to a day ahead of the clock.
_EVER = "start: 1970-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z"

Series = tuple[str, str]  # symbol, interval


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of one symbol and interval; times are starts of bars, in UTC."""

    points: int
    oldest: datetime
    newest: datetime


class InfluxDBResource(dg.ConfigurableResource):
    """Reads one bucket. The token stays out of this configuration, which Dagster's UI shows."""

    url: str
    org: str
    bucket: str
    measurement: str

    @classmethod
    def from_settings(cls, settings: SharedSettings) -> Self:
        """The bucket of the settings' source."""
        return cls(
            url=settings.influxdb_url,
            org=settings.influx_org,
            bucket=settings.names.bucket,
            measurement=settings.influxdb_measurement,
        )

    def newest(self) -> dict[Series, datetime]:
        """Series -> the start of its newest stored bar.

        Raises:
            influxdb_client.rest.ApiException: InfluxDB refused, or has no such bucket.
            urllib3.exceptions.HTTPError: it can't be reached.
        """
        return {_series(record): record.get_time() for record in self._query("|> last()")}

    def newest_quotes(self, since: datetime) -> dict[str, datetime]:
        """Symbol -> the time of its newest stored quote, of those that are not older than `since`."""
        flux = (
            f"from(bucket: {quote_flux(self.bucket)}) |> range(start: {since.isoformat()}, stop: 2100-01-01T00:00:00Z) "
            f'|> filter(fn: (r) => r._measurement == {quote_flux(QUOTE_MEASUREMENT)} and r._field == "price") |> last()'
        )
        return {record.values["symbol"]: record.get_time() for record in self._records(flux)}

    def oldest(self) -> dict[Series, datetime]:
        """Series -> the start of its oldest stored bar."""
        return {_series(record): record.get_time() for record in self._query("|> first()")}

    def stored(self) -> dict[Series, Stored]:
        """Series -> how many bars of it are stored, and which are the first and the last."""
        points = {_series(record): record.get_value() for record in self._query("|> count()")}
        oldest = self.oldest()
        newest = self.newest()
        return {series: Stored(points[series], oldest[series], newest[series]) for series in points}

    def closes(self, bars: int) -> dict[Series, list[tuple[datetime, float]]]:
        """Series -> start and close of its newest `bars` bars, in the order of time."""
        found: dict[Series, list[tuple[datetime, float]]] = {}
        for record in self._query(f"|> tail(n: {bars})"):
            found.setdefault(_series(record), []).append((record.get_time(), record.get_value()))
        return found

    def points(self, symbol: str, begin: datetime, end: datetime) -> dict[tuple[str, datetime], dict[str, float]]:
        """(interval, start) -> the fields of each bar of `symbol` that starts from `begin` to before `end`."""
        of_symbol = f"r._measurement == {quote_flux(self.measurement)} and r.symbol == {quote_flux(symbol)}"
        flux = (
            f"from(bucket: {quote_flux(self.bucket)}) |> range(start: {begin.isoformat()}, stop: {end.isoformat()}) "
            f"|> filter(fn: (r) => {of_symbol})"
        )
        found: dict[tuple[str, datetime], dict[str, float]] = {}
        for record in self._records(flux):
            found.setdefault((record.values["interval"], record.get_time()), {})[record.get_field()] = (
                record.get_value()
            )
        return found

    def bars(self, symbol: str, interval: str, first: datetime, last: datetime) -> dict[datetime, tuple[float, ...]]:
        """Start -> open, high, low, close and volume of each stored bar of a series from `first` to `last`, both
        included.

        Reads the answer's lines as they are: the client makes an object of each value, which takes ten times as long.
        """
        flux = (
            f"from(bucket: {quote_flux(self.bucket)}) "
            f"|> range(start: {first.isoformat()}, stop: {(last + timedelta(seconds=1)).isoformat()}) "
            f"|> filter(fn: (r) => r._measurement == {quote_flux(self.measurement)} "
            f"and r.symbol == {quote_flux(symbol)} and r.interval == {quote_flux(interval)}) "
            f'|> keep(columns: ["_time", "_field", "_value"])'
        )
        token = code_location().influx_read_token.get_secret_value()
        found: dict[str, dict[str, float]] = defaultdict(dict)
        with (
            InfluxDBClient(url=self.url, token=token, org=self.org, timeout=_TIMEOUT_MS) as client,
            client.query_api().query_raw(flux) as answer,
        ):
            answer.auto_close = False  # else the last lines are cut off
            header: list[str] = []
            for line in csv.reader(io.TextIOWrapper(answer, "utf-8")):
                if not line or line[0].startswith("#"):
                    header = []
                elif not header:
                    header = line
                else:
                    row = dict(zip(header, line, strict=False))
                    found[row["_time"]][row["_field"]] = float(row["_value"])
        fields = (*PRICE_FIELDS, VOLUME_FIELD)
        return {
            datetime.fromisoformat(start): tuple(values[field] for field in fields if field in values)
            for start, values in found.items()
        }

    def starts(self, symbol: str, interval: str, begin: datetime, end: datetime) -> set[datetime]:
        """The starts of the stored bars of a series from `begin` to before `end`."""
        flux = (
            f"from(bucket: {quote_flux(self.bucket)}) |> range(start: {begin.isoformat()}, stop: {end.isoformat()}) "
            f"|> filter(fn: (r) => r._measurement == {quote_flux(self.measurement)} "
            f"and r.symbol == {quote_flux(symbol)} "
            f'and r.interval == {quote_flux(interval)} and r._field == "close") |> keep(columns: ["_time"])'
        )
        return {record.get_time() for record in self._records(flux)}

    def _query(self, then: str) -> Iterator[FluxRecord]:
        """Ask for the close of every bar, a table a series. Names are quoted as Flux's strings are, like JSON's."""
        flux = (
            f"from(bucket: {quote_flux(self.bucket)}) |> range({_EVER}) "
            f'|> filter(fn: (r) => r._measurement == {quote_flux(self.measurement)} and r._field == "close") {then}'
        )
        return self._records(flux)

    def _records(self, flux: str) -> Iterator[FluxRecord]:
        token = code_location().influx_read_token.get_secret_value()
        with InfluxDBClient(url=self.url, token=token, org=self.org, timeout=_TIMEOUT_MS) as client:
            yield from client.query_api().query_stream(flux)


def _series(record: FluxRecord) -> Series:
    return record.values["symbol"], record.values["interval"]
