"""The session dates: one partition for each calendar date, since some symbol may trade on any of them."""

from datetime import UTC, datetime

import dagster as dg

from stock_assets.sessions.dates import DATE
from stock_assets.settings import CodeLocationSettings


def make_partitions(settings: CodeLocationSettings) -> dg.TimeWindowPartitionsDefinition:
    """Return every calendar date since `SESSIONS_SINCE`.

    The watchlist changes while the code location is loaded, and with it the exchanges whose trading days count; on a
    date on which none of them trades there is nothing to summarise.
    """
    begin = settings.sessions_since
    return dg.TimeWindowPartitionsDefinition(
        start=datetime(begin.year, begin.month, begin.day, tzinfo=UTC),
        fmt=DATE,
        cron_schedule="0 0 * * *",
        timezone="UTC",  # a partition's key is a date of the exchanges, in none of their time zones
        end_offset=1,  # today's exists once the day has begun in UTC: no exchange closes its session before that
    )
