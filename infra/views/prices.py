"""Reads prices from InfluxDB with the read token: what the quote board shows, and bars as Arrow batches."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv
from sqlalchemy.exc import OperationalError

from infra.host.errors import Exit, StackError
from spark_streaming.contract.flux import EVER, PIVOT, select
from spark_streaming.contract.influxdb_reader import InfluxDBReader, InfluxDBReadError
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

_BARS_A_REQUEST = 20_000  # 2 MB of text, which InfluxDB and then this process hold in memory


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
            StackError: InfluxDB doesn't answer, or rejects the query; the message has the remedy. The other methods
                raise the same.
        """
        close = self._field("close", *EVER)
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
        flux = self._field("price", since, EVER[1], QUOTE_MEASUREMENT)
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
        in_period = (period.begin, EVER[1])
        close = self._field("close", *in_period)
        trend = self._field("close", period.drawn_from, EVER[1])
        every = f"{max(1, int(period.every.total_seconds()))}s"
        parts = {
            "previous": f"{self._field('close', EVER[0], period.before)} |> last()",
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
        chunk = select(self.bucket, self.measurement, begin, end, symbol=symbol, interval=interval)
        with _explain_read_errors():
            text = self._reader.read(f'{chunk} {PIVOT} |> sort(columns: ["_time"])')
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

    def _field(self, field: str, begin: datetime, end: datetime, measurement: str = "") -> str:
        return select(self.bucket, measurement or self.measurement, begin, end, field=field)

    def _rows(self, flux: str) -> Iterator[dict[str, str]]:
        with _explain_read_errors():
            yield from self._reader.rows(flux)

    @property
    def _reader(self) -> InfluxDBReader:
        return InfluxDBReader(self.url, self.org, self.token)


@contextmanager
def _explain_read_errors() -> Iterator[None]:
    """Raise StackError with the exit code of the reader's error."""
    try:
        yield
    except InfluxDBReadError as error:
        code = Exit.SERVICE_FAILED if error.status is None else Exit.INFLUXDB_UNUSABLE
        raise StackError(str(error), code) from None


@contextmanager
def explain_postgres_errors(settings: CodeLocationSettings) -> Iterator[None]:
    """Raise StackError with a remedy where PostgreSQL does not answer within the block."""
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


def _series(row: Mapping[str, str]) -> Series:
    return row["symbol"], row["interval"]


def _time(row: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(row["_time"]).astimezone(UTC)
