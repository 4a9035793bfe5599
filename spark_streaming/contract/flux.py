"""The text of Flux queries: every reader of InfluxDB builds it from these."""

import json
from datetime import UTC, datetime

# All that can be stored: a bar may start up to a day ahead of the clock.
EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))

# One row a point, with a column for each field.
PIVOT = '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'


def quote_flux(text: str) -> str:
    """Return a string literal of Flux: that of JSON with non-ASCII characters as they are, and `${` escaped."""
    return json.dumps(text, ensure_ascii=False).replace("${", "\\${")


def flux_time(moment: datetime) -> str:
    """Return an aware time in Flux, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def select(bucket: str, measurement: str, begin: datetime, end: datetime, **equals: str | None) -> str:
    """Return the points of a measurement from `begin` to before `end`.

    `equals` are tags, and `field` the name of a field, that points must have; None for any.
    """
    columns = {"_field" if name == "field" else name: value for name, value in equals.items() if value is not None}
    conditions = [
        f"r.{name} == {quote_flux(value)}" for name, value in {"_measurement": measurement, **columns}.items()
    ]
    return (
        f"from(bucket: {quote_flux(bucket)}) |> range(start: {flux_time(begin)}, stop: {flux_time(end)}) "
        f"|> filter(fn: (r) => {' and '.join(conditions)})"
    )
