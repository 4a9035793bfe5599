"""Runs a dashboard's queries on the databases, and converts the results to frames as Grafana's datasources do.

Their rules: a Flux table with `_value` and a time is a series, whose other columns are labels unless they begin with
`_`; any other Flux table is a frame with all its columns. A result of PostgreSQL is one frame; in a time series its
text columns are labels, and each combination of them is a field.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import psycopg2
import psycopg2.extras

from infra.bench.grafana_queries import Language, Query, View, filled, variable_queries_of
from spark_streaming.contract.influxdb_reader import InfluxDBReader, InfluxDBReadError

_NUMBERS = {"long": float, "unsignedLong": float, "double": float}


@dataclass
class Column:
    """One column of a frame, which Grafana calls a field. Times are milliseconds since 1970."""

    name: str
    type: str  # time, number, string or boolean
    labels: dict[str, str] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)


@dataclass
class Frame:
    """One table of a result."""

    ref_id: str
    columns: list[Column]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    def as_json(self) -> dict[str, Any]:
        """Return it as Grafana's own code expects it."""
        fields = [
            {"name": c.name, "type": c.type, "labels": c.labels or None, "values": c.values, "config": {}}
            for c in self.columns
        ]
        return {"refId": self.ref_id, "fields": fields, "length": self.rows}


@dataclass(frozen=True)
class Databases:
    """Addresses of the databases, with accounts that can only read."""

    influxdb_url: str
    organization: str
    token: str
    postgres: str  # a connection string

    def answer(self, query: Query, view: View) -> list[Frame]:
        """Return the frames of one query.

        Raises:
            InfluxDBReadError, psycopg2.Error: the database rejected it.
        """
        text = filled(query, view)
        if query.language is Language.SQL:
            return [self._sql(query, text)]
        return flux_frames(query.ref_id, self.flux(text))

    def opened(self, dashboard: Mapping[str, Any], view: View) -> View:
        """Return the view with the missing variables of the dashboard, each with the first value of its query."""
        for variable, query in variable_queries_of(dashboard).items():
            if variable not in view.variables:
                first = str(self.answer(query, view)[0].columns[0].values[0])
                view = replace(view, variables={**view.variables, variable: first})
        return view

    def flux(self, text: str) -> str:
        """Return the result of a Flux query as annotated CSV."""
        reader = InfluxDBReader(self.influxdb_url, self.organization, self.token)
        return reader.read(text, annotations=("datatype", "group")).decode()

    def _sql(self, query: Query, text: str) -> Frame:
        with psycopg2.connect(self.postgres) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            rows, names = cursor.fetchall(), [column.name for column in cursor.description or ()]
        if not rows:
            return Frame(query.ref_id, [])  # as Grafana: without columns
        columns = [
            Column(name, _type_of(values), {}, [_plain(value) for value in values])
            for name, values in zip(names, zip(*rows, strict=True), strict=True)
        ]
        frame = Frame(query.ref_id, columns)
        return _wide(frame) if query.is_time_series else frame


def flux_frames(ref_id: str, text: str) -> list[Frame]:
    """Convert annotated CSV to frames, one for each table."""
    frames: list[Frame] = []
    kinds: Sequence[str] = ()
    names: Sequence[str] = ()
    table, frame = "", None
    for row in csv.reader(io.StringIO(text)):
        if not any(row):
            names = ()
        elif row[0] == "#datatype":
            kinds, names, table = row, (), ""
        elif row[0].startswith("#"):
            continue
        elif not names:
            names = row
            if "error" in names:
                raise InfluxDBReadError(text)
        else:
            if frame is None or row[2] != table:
                table, frame = row[2], _empty(ref_id, names, kinds, row)
                frames.append(frame)
            _append(frame, dict(zip(names, row, strict=True)), dict(zip(names, kinds, strict=True)))
    return frames


def _empty(ref_id: str, names: Sequence[str], kinds: Sequence[str], first: Sequence[str]) -> Frame:
    kind_of = dict(zip(names, kinds, strict=True))
    if "_value" in kind_of and "_time" in kind_of:
        labels = {n: v for n, v in zip(names, first, strict=True) if n not in ("", "result", "table") and n[0] != "_"}
        value = Column("_value", _flux_type(kind_of["_value"]), labels)
        return Frame(ref_id, [Column("Time", "time"), value])
    return Frame(ref_id, [Column(n, _flux_type(kind_of[n])) for n in names if n not in ("", "result", "table")])


def _append(frame: Frame, row: dict[str, str], kinds: dict[str, str]) -> None:
    for column in frame.columns:
        name = "_time" if column.name == "Time" else column.name
        column.values.append(_flux_value(row[name], kinds[name]))


def _flux_type(kind: str) -> str:
    if kind.startswith("dateTime"):
        return "time"
    return "number" if kind in _NUMBERS else "boolean" if kind == "boolean" else "string"


def _flux_value(text: str, kind: str) -> Any:  # noqa: ANN401 - any value of a frame
    if text == "" and kind != "string":
        return None
    if kind.startswith("dateTime"):
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    return _NUMBERS[kind](text) if kind in _NUMBERS else text == "true" if kind == "boolean" else text


def _type_of(values: Sequence[object]) -> str:
    first = next((value for value in values if value is not None), None)
    if isinstance(first, bool):
        return "boolean"
    if isinstance(first, date):  # a datetime is one
        return "time"
    return "string" if isinstance(first, str) else "number"


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of PostgreSQL
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000)
    return value if value is None or isinstance(value, bool | str) else float(value)


def _wide(frame: Frame) -> Frame:
    """Convert a long frame to a wide one: a field for each number and combination of labels."""
    time = next(column for column in frame.columns if column.type == "time")
    texts = [column for column in frame.columns if column.type == "string"]
    numbers = [column for column in frame.columns if column.type == "number"]
    times = sorted(set(time.values))
    at = {moment: index for index, moment in enumerate(times)}
    made: dict[tuple[str, ...], Column] = {}
    for index, moment in enumerate(time.values):
        labels = {column.name: column.values[index] for column in texts}
        for number in numbers:
            key = (number.name, *labels.values())
            column = made.setdefault(key, Column(number.name, "number", labels, [None] * len(times)))
            column.values[at[moment]] = number.values[index]
    return Frame(frame.ref_id, [Column(time.name, "time", {}, times), *made.values()])
