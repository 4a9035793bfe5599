"""The session dates: one partition for each day on which an exchange of ours trades."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from spark_streaming.contract.schema import Source
from stock_assets.market.calendars import ALWAYS_OPEN, exchange_of, trading_days
from stock_assets.settings import CodeLocationSettings

DATE = "%Y-%m-%d"
_AHEAD = timedelta(days=366)  # holidays are known so far ahead; the code location is loaded more often than that


def partitions_of(settings: CodeLocationSettings) -> dg.TimeWindowPartitionsDefinition:
    """The trading days since `SESSIONS_SINCE`: the union of those of the exchanges that can be known at load time.

    Those are the exchanges of STOCKS. A simulation, a symbol that trades around the clock and a file of one's own,
    whose symbols are not known yet, make every day one.
    """
    exchanges = _exchanges(settings)
    begin = settings.sessions_since
    if ALWAYS_OPEN in exchanges:
        return _days(begin, "0 0 * * *", [])
    return _days(begin, "0 0 * * 1-5", _holidays(exchanges, begin, datetime.now(UTC).date() + _AHEAD))


def session_dates(keys: Iterable[str]) -> list[date]:
    """Partition keys as dates."""
    return [datetime.strptime(key, DATE).replace(tzinfo=UTC).date() for key in keys]


def _exchanges(settings: CodeLocationSettings) -> set[str]:
    if settings.source is Source.SIMULATED or settings.replay_file is not None:
        return {ALWAYS_OPEN}
    if settings.source is Source.REPLAY:
        return {"XNYS"}  # of the bundled bars
    return {exchange for symbol in settings.stocks if (exchange := _known(symbol))} or {ALWAYS_OPEN}


def _known(symbol: str) -> str | None:
    try:
        return exchange_of(symbol)
    except ValueError:  # the producer tells about it, with the remedy
        return None


def _days(begin: date, cron: str, holidays: list[date]) -> dg.TimeWindowPartitionsDefinition:
    return dg.TimeWindowPartitionsDefinition(
        start=datetime(begin.year, begin.month, begin.day, tzinfo=UTC),
        fmt=DATE,
        cron_schedule=cron,
        timezone="UTC",  # a partition's key is a date of the exchanges, in none of their time zones
        end_offset=1,  # today's is there once the day has begun in UTC: no exchange closes its session before that
        exclusions=[datetime(day.year, day.month, day.day, tzinfo=UTC) for day in holidays],
    )


def _holidays(exchanges: set[str], first: date, last: date) -> list[date]:
    """The weekdays on which none of the exchanges trades."""
    open_days = set().union(*(trading_days(exchange, first, last) for exchange in exchanges))
    known_until = max(open_days, default=first)
    days = (first + timedelta(days=n) for n in range((known_until - first).days + 1))
    return [day for day in days if day.weekday() < 5 and day not in open_days]
