"""Reads prices from InfluxDB with the read token: what the quote board shows, and bars as Arrow batches."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import requests
from pyarrow import csv as arrow_csv
from sqlalchemy.exc import OperationalError

from infra.host.errors import Exit, StackError
from infra.servers.influxdb_api import session
from spark_streaming.contract.flux import quote_flux
from spark_streaming.contract.schema import QUOTE_MEASUREMENT
from stock_assets.market.bars import interval_length
from stock_assets.pipeline.quote_board import DisplayPeriod, PeriodPrices, Series, Trade
from stock_assets.settings import CodeLocationSettings

BARS = pa.schema(
    [
        pa.field("symbol", pa.string()),
        pa.field("interval", pa.string()),
        pa.field("time", pa.timestamp("ms", tz="UTC")),
        *(pa.field(name, pa.float64()) for name in ("open", "high", "low", "close")),
        pa.field("volume", pa.int64()),
    ]
)

_TIMEOUT_SECONDS = 60
_BARS_A_REQUEST = 20_000  # 2 MB of text, which InfluxDB and then this process hold in memory
_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class PriceReader:
    """Reads one bucket by HTTP."""

    url: str
    org: str
    bucket: str
    measurement: str
    token: str

    @classmethod
    def from_settings(cls, settings: CodeLocationSettings) -> "PriceReader":
        """Return a reader of the bucket of the settings' source."""
        token = settings.influx_read_token.get_secret_value()
        url = settings.influxdb_url.rstrip("/")
        return cls(url, settings.influx_org, settings.names.bucket, settings.influxdb_measurement, token)

    def stored_ranges(self) -> dict[Series, tuple[datetime, datetime]]:
        """Return series -> the starts of its oldest and of its newest bar, in UTC.

        Raises:
            StackError: InfluxDB doesn't answer, or rejects the query; the message says what to do. The other methods
                raise the same.
        """
        close = self._field("close", *_EVER)
        found = list(self._rows(f'{close} |> first() |> yield(name: "a") {close} |> last() |> yield(name: "b")'))
        oldest = {_series(row): _time(row) for row in found if row["result"] == "a"}
        return {_series(row): (oldest[_series(row)], _time(row)) for row in found if row["result"] == "b"}

    def period_prices(self, periods: Mapping[Series, DisplayPeriod]) -> dict[Series, PeriodPrices]:
        """Return series -> its prices in its period, with one request for all series that share a period."""
        groups: dict[DisplayPeriod, list[Series]] = {}
        for series, period in periods.items():
            groups.setdefault(period, []).append(series)
        found: dict[Series, PeriodPrices] = {}
        for period, members in groups.items():
            found |= {series: prices for series, prices in self._of_period(period).items() if series in members}
        return found

    def latest_trades(self, since: datetime) -> dict[str, Trade]:
        """Return symbol -> its newest live quote since a time; empty where the source has no quotes."""
        flux = self._field("price", since, _EVER[1], QUOTE_MEASUREMENT)
        return {row["symbol"]: Trade(_time(row), float(row["_value"])) for row in self._rows(f"{flux} |> last()")}

    def bars(self, series: Series, begin: datetime, end: datetime) -> Iterator[pa.RecordBatch]:
        """Yield the bars that start from `begin` to before `end`, ordered by time, in batches of the schema `BARS`.

        They are queried in chunks, so that memory doesn't grow with their number.
        """
        length = interval_length(series[1]) or timedelta(days=1)
        while begin < end:
            until = min(end, begin + length * _BARS_A_REQUEST)
            yield from self._chunk(series, begin, until)
            begin = until

    def _of_period(self, period: DisplayPeriod) -> dict[Series, PeriodPrices]:
        in_period = (period.begin, _EVER[1])
        close = self._field("close", *in_period)
        trend = self._field("close", period.drawn_from, _EVER[1])
        every = f"{max(1, int(period.every.total_seconds()))}s"
        parts = {
            "previous": f"{self._field('close', _EVER[0], period.before)} |> last()",
            "open": f"{self._field('open', *in_period)} |> first()",
            "high": f"{self._field('high', *in_period)} |> max()",
            "low": f"{self._field('low', *in_period)} |> min()",
            "last": f"{close} |> last()",
            "closes": f"{trend} |> aggregateWindow(every: {every}, fn: last, createEmpty: false)",
        }
        values: dict[Series, dict[str, list[float]]] = {}
        for row in self._rows(" ".join(f'{flux} |> yield(name: "{name}")' for name, flux in parts.items())):
            values.setdefault(_series(row), {}).setdefault(row["result"], []).append(float(row["_value"]))
        return {
            series: PeriodPrices(
                **{name: found[0] for name, found in results.items() if name != "closes"},
                closes=tuple(results.get("closes", ())),
            )
            for series, results in values.items()
        }

    def _chunk(self, series: Series, begin: datetime, end: datetime) -> Iterator[pa.RecordBatch]:
        symbol, interval = series
        flux = (
            f"{self._from(begin, end)} |> filter(fn: (r) => r._measurement == {quote_flux(self.measurement)} "
            f"and r.symbol == {quote_flux(symbol)} and r.interval == {quote_flux(interval)}) "
            '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value") |> sort(columns: ["_time"])'
        )
        text = self._query(flux)
        if not text.strip():  # no bar in this chunk
            return
        types = {"_time": BARS.field("time").type} | {name: BARS.field(name).type for name in BARS.names[3:]}
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(use_threads=False),
            convert_options=arrow_csv.ConvertOptions(include_columns=list(types), column_types=types),
        )
        for batch in table.to_batches():
            names = [pa.array([name] * len(batch), pa.string()) for name in (symbol, interval)]
            yield pa.RecordBatch.from_arrays([*names, *batch.columns], schema=BARS)

    def _from(self, begin: datetime, end: datetime) -> str:
        return f"from(bucket: {quote_flux(self.bucket)}) |> range(start: {_flux_time(begin)}, stop: {_flux_time(end)})"

    def _field(self, field: str, begin: datetime, end: datetime, measurement: str = "") -> str:
        matches = f"r._measurement == {quote_flux(measurement or self.measurement)} and r._field == {quote_flux(field)}"
        return f"{self._from(begin, end)} |> filter(fn: (r) => {matches})"

    def _rows(self, flux: str) -> Iterator[dict[str, str]]:
        """Yield the rows of all tables of a result; each table has its own header, after an empty line."""
        header: list[str] | None = None
        for line in csv.reader(io.StringIO(self._query(flux).decode(), newline="")):
            if not line:
                header = None
            elif header is None:
                header = line
            else:
                row = dict(zip(header, line, strict=True))
                if "error" in row:
                    raise StackError(f"InfluxDB at {self.url} failed: {row['error']}", Exit.SERVICE_FAILED)
                yield row

    def _query(self, flux: str) -> bytes:
        body = {"query": flux, "dialect": {"annotations": [], "header": True}}
        try:
            response = session(self.token).post(
                f"{self.url}/api/v2/query", params={"org": self.org}, json=body, timeout=_TIMEOUT_SECONDS,
                headers={"Accept": "application/csv"},
            )  # fmt: skip
        except requests.RequestException as error:
            raise StackError(
                f"InfluxDB at {self.url} does not answer ({type(error).__name__}): start the platform with "
                "`stocks up`, or name the server by INFLUXDB_URL", Exit.SERVICE_FAILED,
            ) from None  # fmt: skip
        self._check(response)
        return response.content

    def _check(self, response: requests.Response) -> None:
        if response.ok:
            return
        hint = ""
        if response.status_code in (requests.codes.unauthorized, requests.codes.not_found):
            hint = f". Is SOURCE the running one, and INFLUX_READ_TOKEN that of the bucket {self.bucket}?"
        raise StackError(
            f"InfluxDB at {self.url} rejected the query: {response.status_code} {_message(response)}{hint}",
            Exit.INFLUXDB_UNUSABLE,
        )


@contextmanager
def explain_postgres_errors(settings: CodeLocationSettings) -> Iterator[None]:
    """Raise StackError, which says what to do, where PostgreSQL does not answer within the block."""
    try:
        yield
    except OperationalError as error:
        address = f"{settings.postgres_host}:{settings.postgres_port}"
        raise StackError(
            f"PostgreSQL at {address} does not answer: start the platform with `stocks up`\n{error.orig}",
            Exit.SERVICE_FAILED,
        ) from None


def require_stored(series: Mapping[Series, Any], symbols: Iterable[str]) -> None:
    """Check that each of `symbols` has bars in `series`.

    Raises:
        StackError: one has none; the message names the symbols that have.
    """
    stored = sorted({symbol for symbol, _ in series})
    for symbol in symbols:
        if symbol not in stored:
            known = ", ".join(stored) or "nothing yet"
            raise StackError(f"no bar of {symbol} is stored; there are bars of: {known}", Exit.USAGE)


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:300]


def _flux_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _series(row: Mapping[str, str]) -> Series:
    return row["symbol"], row["interval"]


def _time(row: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(row["_time"]).astimezone(UTC)
