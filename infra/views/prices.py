"""Reads prices out of InfluxDB, with the reader's token: what a board shows, and bars as a stream of Arrow batches."""

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

_SECONDS = 60
_BARS_A_REQUEST = 20_000  # 2 MB of text: what InfluxDB, and then this process, holds in memory
_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Prices:
    """One bucket, read by HTTP."""

    url: str
    org: str
    bucket: str
    measurement: str
    token: str

    @classmethod
    def from_settings(cls, settings: CodeLocationSettings) -> "Prices":
        """The bucket of the settings' source."""
        token = settings.influx_read_token.get_secret_value()
        url = settings.influxdb_url.rstrip("/")
        return cls(url, settings.influx_org, settings.names.bucket, settings.influxdb_measurement, token)

    def ends(self) -> dict[Series, tuple[datetime, datetime]]:
        """Series -> the starts of its oldest and of its newest bar.

        Raises:
            StackError: InfluxDB doesn't answer, or refuses; the message says what to do. So do the others here.
        """
        close = self._field("close", *_EVER)
        found = list(self._rows(f'{close} |> first() |> yield(name: "a") {close} |> last() |> yield(name: "b")'))
        oldest = {_series(row): _time(row) for row in found if row["result"] == "a"}
        return {_series(row): (oldest[_series(row)], _time(row)) for row in found if row["result"] == "b"}

    def days(self, windows: Mapping[Series, DisplayPeriod]) -> dict[Series, PeriodPrices]:
        """Series -> what a board shows of it. One request for all series that share a window."""
        groups: dict[DisplayPeriod, list[Series]] = {}
        for series, window in windows.items():
            groups.setdefault(window, []).append(series)
        found: dict[Series, PeriodPrices] = {}
        for window, members in groups.items():
            found |= {series: day for series, day in self._days(window).items() if series in members}
        return found

    def trades(self, since: datetime) -> dict[str, Trade]:
        """Symbol -> its newest live quote since a time; empty where no quotes are carried."""
        flux = self._field("price", since, _EVER[1], QUOTE_MEASUREMENT)
        return {row["symbol"]: Trade(_time(row), float(row["_value"])) for row in self._rows(f"{flux} |> last()")}

    def bars(self, series: Series, begin: datetime, end: datetime) -> Iterator[pa.RecordBatch]:
        """The bars that start from `begin` to before `end`, in the order of time, in batches of the schema `BARS`.

        Memory doesn't grow with their number: they are asked for in pieces.
        """
        length = interval_length(series[1]) or timedelta(days=1)
        while begin < end:
            until = min(end, begin + length * _BARS_A_REQUEST)
            yield from self._piece(series, begin, until)
            begin = until

    def _days(self, window: DisplayPeriod) -> dict[Series, PeriodPrices]:
        in_window = (window.begin, _EVER[1])
        close = self._field("close", *in_window)
        drawn = self._field("close", window.drawn_from, _EVER[1])
        every = f"{max(1, int(window.every.total_seconds()))}s"
        parts = {
            "previous": f"{self._field('close', _EVER[0], window.before)} |> last()",
            "open": f"{self._field('open', *in_window)} |> first()",
            "high": f"{self._field('high', *in_window)} |> max()",
            "low": f"{self._field('low', *in_window)} |> min()",
            "last": f"{close} |> last()",
            "closes": f"{drawn} |> aggregateWindow(every: {every}, fn: last, createEmpty: false)",
        }
        values: dict[Series, dict[str, list[float]]] = {}
        for row in self._rows(" ".join(f'{flux} |> yield(name: "{name}")' for name, flux in parts.items())):
            values.setdefault(_series(row), {}).setdefault(row["result"], []).append(float(row["_value"]))
        return {
            series: PeriodPrices(
                **{name: given[0] for name, given in of.items() if name != "closes"}, closes=tuple(of.get("closes", ()))
            )
            for series, of in values.items()
        }

    def _piece(self, series: Series, begin: datetime, end: datetime) -> Iterator[pa.RecordBatch]:
        symbol, interval = series
        flux = (
            f"{self._from(begin, end)} |> filter(fn: (r) => r._measurement == {quote_flux(self.measurement)} "
            f"and r.symbol == {quote_flux(symbol)} and r.interval == {quote_flux(interval)}) "
            '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value") |> sort(columns: ["_time"])'
        )
        text = self._ask(flux)
        if not text.strip():  # no bar in this piece
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
        of = f"r._measurement == {quote_flux(measurement or self.measurement)} and r._field == {quote_flux(field)}"
        return f"{self._from(begin, end)} |> filter(fn: (r) => {of})"

    def _rows(self, flux: str) -> Iterator[dict[str, str]]:
        """Rows of any number of tables; each table has a header of its own, after an empty line."""
        header: list[str] | None = None
        for line in csv.reader(io.StringIO(self._ask(flux).decode(), newline="")):
            if not line:
                header = None
            elif header is None:
                header = line
            else:
                row = dict(zip(header, line, strict=True))
                if "error" in row:
                    raise StackError(f"InfluxDB at {self.url} broke off: {row['error']}", Exit.SERVICE_FAILED)
                yield row

    def _ask(self, flux: str) -> bytes:
        body = {"query": flux, "dialect": {"annotations": [], "header": True}}
        try:
            answer = session(self.token).post(
                f"{self.url}/api/v2/query", params={"org": self.org}, json=body, timeout=_SECONDS,
                headers={"Accept": "application/csv"},
            )  # fmt: skip
        except requests.RequestException as error:
            raise StackError(
                f"InfluxDB at {self.url} does not answer ({type(error).__name__}): start the platform with "
                "`stocks up`, or name the server by INFLUXDB_URL", Exit.SERVICE_FAILED,
            ) from None  # fmt: skip
        self._demand_ok(answer)
        return answer.content

    def _demand_ok(self, answer: requests.Response) -> None:
        if answer.ok:
            return
        remedy = ""
        if answer.status_code in (requests.codes.unauthorized, requests.codes.not_found):
            remedy = f". Is SOURCE the running one, and INFLUX_READ_TOKEN that of the bucket {self.bucket}?"
        told = _message(answer)
        raise StackError(f"InfluxDB at {self.url} refused: {answer.status_code} {told}{remedy}", Exit.INFLUXDB_UNUSABLE)


@contextmanager
def postgres_answers(settings: CodeLocationSettings) -> Iterator[None]:
    """Say what to do where PostgreSQL does not answer."""
    try:
        yield
    except OperationalError as error:
        where = f"{settings.postgres_host}:{settings.postgres_port}"
        raise StackError(
            f"PostgreSQL at {where} does not answer: start the platform with `stocks up`\n{error.orig}",
            Exit.SERVICE_FAILED,
        ) from None


def of_symbols(ends: Mapping[Series, Any], symbols: Iterable[str]) -> None:
    """Demand that bars of each symbol are stored.

    Raises:
        StackError: there are none of one; the message names what there is.
    """
    stored = sorted({symbol for symbol, _ in ends})
    for symbol in symbols:
        if symbol not in stored:
            known = ", ".join(stored) or "nothing yet"
            raise StackError(f"no bar of {symbol} is stored; there are bars of: {known}", Exit.USAGE)


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


def _flux_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _series(row: Mapping[str, str]) -> Series:
    return row["symbol"], row["interval"]


def _time(row: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(row["_time"]).astimezone(UTC)
