"""Which sessions a run summarises, and how Spark is queried for them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from stock_assets.market.calendars import sessions_between, timezone_of
from stock_assets.market.sessions import SeriesSession, SessionSummary, bar_length, expected_bars, has_sessions
from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.session_schedule import has_begun
from stock_assets.resources.influxdb import InfluxDBResource, StoredSeries
from stock_assets.sessions.dates import DATE
from stock_assets.sessions.pictures import CANDLES, PANELS, Panel, draw, metadata_of, save_picture
from stock_assets.sessions.watched import known_exchange
from stock_assets.settings import CodeLocationSettings

if TYPE_CHECKING:  # Spark takes a second to import, and only a run needs it
    import pandas as pd
    from pyspark.sql import SparkSession

    from spark_streaming.batch.session_summaries import BarStore, SessionOfSeries


def sessions_to_summarise(
    settings: CodeLocationSettings,
    dates: Sequence[date],
    coverage: Sequence[Coverage],
    stored: dict[tuple[str, str], StoredSeries],
    now: datetime,
) -> list[SeriesSession]:
    """Return the sessions of these dates that are over, of every series that is watched or stored, by symbol and time.

    A series has no sessions before its first bar.
    """
    rows = {(row.symbol, row.interval): row for row in coverage}
    series, wanted = rows.keys() | stored.keys(), set(dates)
    found = []
    for symbol, interval in sorted(series):
        exchange = known_exchange(settings, symbol)
        if exchange is None or not has_sessions(interval) or not dates:
            continue
        bars = stored.get((symbol, interval))
        found += [
            SeriesSession(symbol, interval, session)
            for session in sessions_between(exchange, min(dates), max(dates))
            if session.day in wanted
            and session.closed <= now
            and has_begun(session, bars.oldest if bars else None, rows.get((symbol, interval)))
        ]
    return found


def make_bar_store(settings: CodeLocationSettings, influxdb: InfluxDBResource) -> "BarStore":
    """Return the bucket, for Spark's tasks."""
    from spark_streaming.batch.session_summaries import BarStore

    token = settings.influx_read_token.get_secret_value()
    return BarStore(influxdb.url, influxdb.org, influxdb.bucket, influxdb.measurement, token)


def to_spark(one: SeriesSession) -> "SessionOfSeries":
    """Return the session as a row of Spark's input."""
    from spark_streaming.batch.session_summaries import SessionOfSeries

    session = one.session
    return SessionOfSeries(
        session.day,
        one.symbol,
        one.interval,
        session.opened,
        session.closed,
        session.break_start,
        session.break_end,
        int(bar_length(session, one.interval) / timedelta(seconds=1)),
        len(expected_bars(session, one.interval)),
    )


def summarise(
    spark: "SparkSession", store: "BarStore", sessions: Sequence[SeriesSession], now: datetime
) -> list[SessionSummary]:
    """Return one row for each session, also for one without bars."""
    from spark_streaming.batch.session_summaries import summaries

    times = {one.key: one.session for one in sessions}
    rows = summaries(spark, store, [to_spark(one) for one in sessions]).collect()
    names = ("open", "high", "low", "close", "volume", "vwap")
    return [
        SessionSummary(
            session_date=row["session_date"],
            symbol=row["symbol"],
            interval=row["interval"],
            opens_at=session.opened,
            closes_at=session.closed,
            **{name: row[name] for name in names},
            bars_expected=row["bars_expected"],
            bars_stored=row["bars_stored"],
            bars_missing=row["bars_expected"] - row["bars_stored"],
            summarised_at=now,
        )
        for row in rows
        for session in [times[row["session_date"], row["symbol"], row["interval"]]]
    ]


def sheet_metadata(
    settings: CodeLocationSettings,
    spark: "SparkSession",
    store: "BarStore",
    day: date,
    sessions: Sequence[SeriesSession],
    now: datetime,
) -> dict[str, dg.MetadataValue]:
    """Return the picture of the sessions of `day`: drawn, kept on disk, and shown inline."""
    drawn = [one for one in sessions if one.session.day == day][:PANELS]
    candles = _candles(settings, spark, store, drawn)
    panels = [_panel(settings, one, candles[one]) for one in drawn if one in candles]
    if not panels:
        return {}
    not_live = "" if settings.source.is_live else f", {settings.source}: not live Yahoo data"
    picture = draw(panels, f"{day:{DATE}}{not_live}")
    return metadata_of(picture, save_picture(settings.pictures, day, picture, settings.summary_pictures_days, now))


def _candles(
    settings: CodeLocationSettings, spark: "SparkSession", store: "BarStore", drawn: Sequence[SeriesSession]
) -> dict[SeriesSession, "pd.DataFrame"]:
    """The candles of each session; of daily bars, which have one a session, those of the last sessions up to it."""
    import pandas as pd

    from spark_streaming.batch.session_summaries import candles

    by_length: dict[int, list[SeriesSession]] = defaultdict(list)  # one query for each length of candles
    for one in drawn:
        bars = -(-len(expected_bars(one.session, one.interval)) // CANDLES)
        by_length[int(bars * bar_length(one.session, one.interval).total_seconds())].append(one)
    found = {}
    for seconds, same in by_length.items():
        asked = [to_spark(s) for one in same for s in ([one] if one.interval != "1d" else _before(settings, one))]
        frame = pd.DataFrame([row.asDict() for row in candles(spark, store, asked, seconds).collect()])
        for one in same:
            rows = frame[(frame["symbol"] == one.symbol) & (frame["interval"] == one.interval)] if len(frame) else frame
            if len(rows):
                found[one] = rows
    return found


def _before(settings: CodeLocationSettings, one: SeriesSession) -> list[SeriesSession]:
    day = one.session.day
    sessions = sessions_between(_exchange(settings, one), day - 2 * CANDLES * timedelta(days=1), day)
    return [SeriesSession(one.symbol, one.interval, session) for session in sessions[-CANDLES:]]


def _panel(settings: CodeLocationSettings, one: SeriesSession, candles: "pd.DataFrame") -> Panel:
    import pandas as pd

    exchange, daily = _exchange(settings, one), one.interval == "1d"
    zone = "UTC" if exchange == ALWAYS_OPEN else timezone_of(exchange)
    times = pd.DatetimeIndex(candles["start"]).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    last, first = candles["close"].iloc[-1], candles["open"].iloc[-1 if daily else 0]
    title = f"{one.symbol} {one.interval}  {last:,.2f}  {last / first - 1:+.1%}"
    return Panel(title, candles.set_index(times), "%b %d" if daily else "%H:%M")


def _exchange(settings: CodeLocationSettings, one: SeriesSession) -> str:
    return known_exchange(settings, one.symbol) or ALWAYS_OPEN
