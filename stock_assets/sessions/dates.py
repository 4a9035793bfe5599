"""Session dates as text: keys of Dagster's partitions, names of pictures."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

DATE = "%Y-%m-%d"


def session_dates(keys: Iterable[str]) -> list[date]:
    """Convert partition keys to dates."""
    return [datetime.strptime(key, DATE).replace(tzinfo=UTC).date() for key in keys]
