"""Summaries of the stored bars of trading sessions, as bounded Spark work.

Each function takes a Spark session and returns a DataFrame. Bars are read from InfluxDB by the tasks, some thousand at
a time, so that a year of minutes needs no more memory than a day.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from itertools import groupby

import pyarrow as pa
import pyarrow.csv
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sql

from spark_streaming.contract.flux import PIVOT, select
from spark_streaming.contract.influxdb_reader import InfluxDBReader
from spark_streaming.contract.schema import PRICE_FIELDS, VOLUME_FIELD

_BARS_A_REQUEST = 50_000  # some 4 MB of CSV

_CSV_TYPES = {
    "_time": pa.timestamp("ms", "UTC"),
    **dict.fromkeys(PRICE_FIELDS, pa.float64()),
    VOLUME_FIELD: pa.int64(),
}
_BARS = pa.schema(
    [("symbol", pa.string()), ("interval", pa.string()), ("start", pa.timestamp("us", "UTC"))]
    + [(name, _CSV_TYPES[name]) for name in (*PRICE_FIELDS, VOLUME_FIELD)]
)
_BARS_DDL = "symbol string, interval string, start timestamp, " + ", ".join(
    f"{name} {'bigint' if name == VOLUME_FIELD else 'double'}" for name in (*PRICE_FIELDS, VOLUME_FIELD)
)
_REQUESTS_DDL = "symbol string, interval string, begin string, end string"
_SESSIONS_DDL = (
    "session_date date, symbol string, interval string, opens_at timestamp, closes_at timestamp, "
    "break_start timestamp, break_end timestamp, bar_seconds bigint, bars_expected bigint"
)


@dataclass(frozen=True)
class BarStore:
    """The bucket that is read."""

    url: str
    organization: str
    bucket: str
    measurement: str
    token: str = field(repr=False)  # can only read the bucket


@dataclass(frozen=True)
class SessionOfSeries:
    """A trading session of one symbol and interval; times are aware.

    `bar_seconds` is how long a bar lasts (a daily one as long as the session); a bar that lies in the break between
    `break_start` and `break_end` is not expected.
    """

    session_date: date
    symbol: str
    interval: str
    opens_at: datetime
    closes_at: datetime
    break_start: datetime | None
    break_end: datetime | None
    bar_seconds: int
    bars_expected: int


def summaries(spark: SparkSession, store: BarStore, sessions: Sequence[SessionOfSeries]) -> DataFrame:
    """Return a row for each session, also without bars: its columns, open, high, low, close, volume, vwap, bars_stored.

    Bars outside of the sessions (before the open, after the close) don't count. `vwap` is the mean of the bars'
    typical prices, (high + low + close) / 3, weighted by volume; null without volume. `bars_stored` counts those that
    are expected.
    """
    requested = spark.createDataFrame([tuple(vars(session).values()) for session in sessions], _SESSIONS_DDL)
    key = ["session_date", "symbol", "interval"]
    slot = _slot(sql.col("bar_seconds"))
    in_break = sql.col("break_start").isNotNull() & _lies_in_break(slot)
    turnover = (sql.col("high") + sql.col("low") + sql.col("close")) / 3 * sql.col(VOLUME_FIELD)
    traded = sql.sum(VOLUME_FIELD)
    found = _within(_bars(spark, store, sessions), requested).groupBy(*key)
    summed = found.agg(
        *_candle(),
        (sql.sum(turnover) / sql.when(traded > 0, traded)).alias("vwap"),
        sql.count_distinct(sql.when(~in_break, slot)).alias("bars_stored"),
    )
    return requested.join(summed, key, "left").fillna(0, ["bars_stored"])


def candles(spark: SparkSession, store: BarStore, sessions: Sequence[SessionOfSeries], seconds: int) -> DataFrame:
    """Return the bars of sessions put together to candles of `seconds` from each open on, by symbol and time: symbol,
    interval, start, open, high, low, close, volume.
    """
    requested = spark.createDataFrame([tuple(vars(session).values()) for session in sessions], _SESSIONS_DDL)
    within = _within(_bars(spark, store, sessions), requested).withColumn("candle", _slot(sql.lit(seconds)))
    grouped = within.groupBy("symbol", "interval", "session_date", "candle").agg(
        sql.min("start").alias("start"), *_candle()
    )
    return grouped.drop("session_date", "candle").orderBy("symbol", "interval", "start")


def _candle() -> list[Column]:
    return [
        sql.min_by("open", "start").alias("open"),
        sql.max("high").alias("high"),
        sql.min("low").alias("low"),
        sql.max_by("close", "start").alias("close"),
        sql.sum(VOLUME_FIELD).alias(VOLUME_FIELD),
    ]


def _within(bars: DataFrame, sessions: DataFrame) -> DataFrame:
    """Each bar with the session that it lies in."""
    lies_in = (
        (bars.symbol == sessions.symbol)
        & (bars.interval == sessions.interval)
        & (bars.start >= sessions.opens_at)
        & (bars.start < sessions.closes_at)
    )
    return sql.broadcast(sessions).join(bars, lies_in).drop(bars.symbol, bars.interval)


def _slot(seconds: Column) -> Column:
    since_open = sql.unix_timestamp("start") - sql.unix_timestamp("opens_at")
    return sql.floor(since_open / seconds)


def _lies_in_break(slot: Column) -> Column:
    begin = sql.unix_timestamp("opens_at") + slot * sql.col("bar_seconds")
    after = begin + sql.col("bar_seconds")
    return (begin >= sql.unix_timestamp("break_start")) & (after <= sql.unix_timestamp("break_end"))


def _bars(spark: SparkSession, store: BarStore, sessions: Sequence[SessionOfSeries]) -> DataFrame:
    requests = spark.createDataFrame(list(_requests(sessions)), _REQUESTS_DDL)
    read: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]] = partial(_read, store)
    return requests.mapInArrow(read, _BARS_DDL)


def _requests(sessions: Iterable[SessionOfSeries]) -> Iterator[tuple[str, str, str, str]]:
    """Spans of neighbouring sessions of one series, none with many more bars than one answer should have."""

    def series(session: SessionOfSeries) -> tuple[str, str]:
        return session.symbol, session.interval

    ordered = sorted(sessions, key=lambda s: (*series(s), s.opens_at))
    for (symbol, interval), of_series in groupby(ordered, series):
        begin, end, bars = None, None, 0
        for session in of_series:
            if begin is not None and end is not None and bars + session.bars_expected > _BARS_A_REQUEST:
                yield symbol, interval, begin.isoformat(), end.isoformat()
                begin, bars = None, 0
            begin, end, bars = begin or session.opens_at, session.closes_at, bars + session.bars_expected
        if begin is not None and end is not None:
            yield symbol, interval, begin.isoformat(), end.isoformat()


def _read(store: BarStore, requests: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """In the tasks: the bars of each request."""
    reader = InfluxDBReader(store.url, store.organization, store.token)
    for batch in requests:
        for request in batch.to_pylist():
            yield from _bars_of(reader, store, **request)


def _bars_of(
    reader: InfluxDBReader, store: BarStore, symbol: str, interval: str, begin: str, end: str
) -> Iterator[pa.RecordBatch]:
    period = (datetime.fromisoformat(begin), datetime.fromisoformat(end))
    bars = select(store.bucket, store.measurement, *period, symbol=symbol, interval=interval)
    text = reader.read(f"{bars} {PIVOT}")
    if not text.strip():  # no bar is stored
        return
    options = pa.csv.ConvertOptions(column_types=_CSV_TYPES, include_columns=list(_CSV_TYPES))
    table = pa.csv.read_csv(pa.BufferReader(text), convert_options=options).rename_columns(_BARS.names[2:])
    for name, value in (("interval", interval), ("symbol", symbol)):
        table = table.add_column(0, name, pa.array([value] * len(table), pa.string()))
    yield from table.cast(_BARS).to_batches(10_000)
