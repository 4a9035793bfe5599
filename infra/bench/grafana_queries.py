"""The queries of a dashboard as Grafana sends them: read from its file, with variables and macros filled in.

Formats are those of Grafana's `${name:format}`; macros are those of its InfluxDB (Flux) and PostgreSQL datasources.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

MOST_POINTS = 10  # Grafana rejects a series with more than this many times a panel's `maxDataPoints`

_WITH_FORMAT = re.compile(r"\$\{(\w+)(?::([^}]+))?\}|\$(\w+)")
_FLUX_MACRO = re.compile(r"\b[a-zA-Z]+\.(timeRangeStart|timeRangeStop|windowPeriod|defaultBucket|organization)\b")
_REGEX_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
_SQL_MACRO = re.compile(r"\$__(timeFilter|timeFrom|timeTo)\(([^)]*)\)")

# Grafana rounds the seconds between two points to the second number of the first pair whose first number is greater.
_ROUNDED = (
    (1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300),
    (750, 600), (1050, 900), (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16_200, 10_800), (32_400, 21_600),
    (86_400, 43_200), (604_800, 86_400), (1_814_400, 604_800), (3_628_800, 2_592_000),
)  # fmt: skip
_LONGEST = 31_536_000


class Language(StrEnum):
    """The language of a query, which also selects the database."""

    FLUX = "flux"
    SQL = "sql"


@dataclass(frozen=True)
class Query:
    """One query as the file has it."""

    dashboard: str
    place: str  # `panel 3`, `annotation splits`, `variable symbol`
    ref_id: str
    language: Language
    text: str
    max_data_points: int = 1000
    min_interval: timedelta = timedelta(seconds=1)
    is_time_series: bool = False  # of SQL: columns of text are labels
    repeated_by: str | None = None  # the variable of its repeated row: the query sees one value of it

    @property
    def name(self) -> str:
        """Its place, for messages."""
        return f"{self.dashboard}, {self.place}, {self.ref_id}"


@dataclass(frozen=True)
class View:
    """The time range (aware) and the values of variables with which a dashboard is opened."""

    start: datetime
    stop: datetime
    bucket: str
    organization: str
    variables: Mapping[str, str | Sequence[str]]


def load(path: Path) -> dict[str, Any]:
    """Read the file of a dashboard."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def panels_of(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel that shows data."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def _repeated(dashboard: Mapping[str, Any]) -> dict[int, str]:
    """Return panel id -> the variable by which its row is repeated: such a panel sees one value of it."""
    found, by = {}, None
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            by = panel.get("repeat")
        elif by is not None:
            found[panel["id"]] = by
    return found


def queries_of(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    """Yield every query of its panels, annotations and variables."""
    title, repeated = dashboard["title"], _repeated(dashboard)
    for panel in panels_of(dashboard):
        step = timedelta(seconds=_seconds(panel.get("interval", "1s")))
        for target in panel["targets"]:
            place = f"panel {panel['id']}"
            made = _query(title, place, target, panel.get("maxDataPoints", 1000), step)
            yield replace(made, repeated_by=repeated.get(panel["id"]))
    for annotation in dashboard["annotations"]["list"]:
        if "target" in annotation and not annotation.get("builtIn"):
            yield _query(title, f"annotation {annotation['name']}", annotation["target"], 1000, timedelta(seconds=1))
    yield from variable_queries_of(dashboard).values()


def variable_queries_of(dashboard: Mapping[str, Any]) -> dict[str, Query]:
    """Return variable -> the query of its values, in the order in which Grafana runs them."""
    queried = [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    title = dashboard["title"]
    return {v["name"]: Query(title, f"variable {v['name']}", "A", Language.SQL, v["query"]) for v in queried}


def _query(dashboard: str, place: str, target: Mapping[str, Any], points: int, step: timedelta) -> Query:
    language = Language.SQL if "rawSql" in target else Language.FLUX
    text = target["rawSql"] if language is Language.SQL else target["query"]
    is_time_series = target.get("format") == "time_series"
    return Query(dashboard, place, target["refId"], language, text, points, step, is_time_series)


def filled(query: Query, view: View) -> str:
    """Return the text that is sent to the database.

    Raises:
        KeyError: the view has no value for a variable.
    """
    text = query.text
    if query.language is Language.SQL:  # before the variables, whose pattern matches `$__timeFrom` too
        text = _SQL_MACRO.sub(lambda match: _sql_macro(match, view), text)
    text = _WITH_FORMAT.sub(lambda match: _value(match, query, view), text)
    if query.language is Language.FLUX:
        text = _FLUX_MACRO.sub(lambda match: _flux_macro(match, query, view), text)
    return text


def interval_of(query: Query, view: View) -> timedelta:
    """Return Grafana's value of `v.windowPeriod`: the range by the points, rounded, at least the panel's minimum."""
    exact = (view.stop - view.start).total_seconds() / query.max_data_points
    rounded = next((seconds for below, seconds in _ROUNDED if exact < below), _LONGEST)
    return max(timedelta(seconds=rounded), query.min_interval)


def _value(match: re.Match[str], query: Query, view: View) -> str:
    name, how = match[1] or match[3], match[2] or "glob"
    if name in ("__from", "__to"):
        moment = view.start if name == "__from" else view.stop
        return str(int(moment.timestamp() * 1000)) if how == "glob" else _text(moment)
    value = view.variables[name]
    values = [value] if isinstance(value, str) else list(value)
    if name == query.repeated_by:
        values = values[:1]
    if how == "doublequote":
        return ",".join('"' + one.replace('"', '\\"') + '"' for one in values)
    if how == "sqlstring":
        return ",".join("'" + one.replace("'", "''") + "'" for one in values)
    if how == "regex":
        escaped = [_REGEX_SPECIAL.sub(r"\\\g<0>", one) for one in values]
        return escaped[0] if len(escaped) == 1 else "(" + "|".join(escaped) + ")"
    if how == "glob":
        return values[0] if len(values) == 1 else "{" + ",".join(values) + "}"
    raise ValueError(f"{match[0]}: a format that no query here uses")


def _sql_macro(match: re.Match[str], view: View) -> str:
    start, stop = f"'{_text(view.start)}'", f"'{_text(view.stop)}'"
    return {"timeFrom": start, "timeTo": stop, "timeFilter": f"{match[2]} BETWEEN {start} AND {stop}"}[match[1]]


def _flux_macro(match: re.Match[str], query: Query, view: View) -> str:
    return {
        "timeRangeStart": _text(view.start),
        "timeRangeStop": _text(view.stop),
        "windowPeriod": f"{int(interval_of(query, view).total_seconds())}s",
        "defaultBucket": f'"{view.bucket}"',
        "organization": f'"{view.organization}"',
    }[match[1]]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[duration[-1]]
