"""Bounded Spark work on bars in the real InfluxDB."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import urllib3
from pyspark.sql import SparkSession

from spark_streaming.batch import session_summaries
from spark_streaming.batch.session_summaries import BarStore, SessionOfSeries, candles, summaries
from spark_streaming.contract.schema import MEASUREMENT
from stock_assets_tests.services.fixtures import Bucket

pytestmark = pytest.mark.services

OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

Bar = tuple[str, datetime, float, float, float, float, int]


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = (
        builder.config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "1").getOrCreate()
    )
    yield session
    session.stop()


def session(symbol: str = "AMZN", opened: datetime = OPEN, bars: int = 4, **more: datetime) -> SessionOfSeries:
    closed = opened + bars * MINUTE
    breaks = {"break_start": None, "break_end": None} | more
    return SessionOfSeries(opened.date(), symbol, "1m", opened, closed, **breaks, bar_seconds=60, bars_expected=bars)


def store_with(bucket: Bucket, bars: list[Bar]) -> BarStore:
    lines = [
        f"{MEASUREMENT},interval=1m,symbol={s.replace(' ', chr(92) + ' ')} "
        f"open={o},high={h},low={lo},close={c},volume={v}i {int(at.timestamp())}"
        for s, at, o, h, lo, c, v in bars
    ]
    answer = urllib3.request(
        "POST",
        f"{bucket.url}/api/v2/write?org={bucket.org}&bucket={bucket.name}&precision=s",
        body="\n".join(lines).encode(),
        headers={"Authorization": f"Token {bucket.write_token}"},
    )
    assert answer.status == 204, answer.data
    return BarStore(bucket.url, bucket.org, bucket.name, MEASUREMENT, bucket.read_token)


def test_a_session_is_summarised_from_its_own_bars(spark: SparkSession, fresh_bucket: Bucket) -> None:
    store = store_with(
        fresh_bucket,
        [
            ("AMZN", OPEN - MINUTE, 1.0, 999.0, 0.5, 1.0, 9_999),  # before the open
            ("AMZN", OPEN, 10.0, 12.0, 9.0, 11.0, 100),
            ("AMZN", OPEN + MINUTE, 11.0, 11.5, 8.0, 9.0, 300),
            ("AMZN", OPEN + 3 * MINUTE, 9.0, 10.0, 9.0, 9.5, 0),
            ("AMZN", OPEN + 4 * MINUTE, 1.0, 999.0, 0.5, 1.0, 9_999),  # after the close
            ("AAPL", OPEN, 1.0, 1.0, 1.0, 1.0, 1),  # another symbol
        ],
    )
    [row] = summaries(spark, store, [session()]).collect()
    assert (row.session_date, row.symbol, row.interval) == (date(2026, 11, 20), "AMZN", "1m")
    assert (row.open, row.high, row.low, row.close, row.volume) == (10.0, 12.0, 8.0, 9.5, 400)
    assert row.vwap == pytest.approx((32 / 3 * 100 + 28.5 / 3 * 300) / 400)
    assert (row.bars_expected, row.bars_stored) == (4, 3)


def test_a_session_without_a_bar_and_one_without_volume_have_rows_too(
    spark: SparkSession, fresh_bucket: Bucket
) -> None:
    store = store_with(fresh_bucket, [("A B", OPEN, 1.0, 1.0, 1.0, 1.0, 0)])
    rows = {row.symbol: row for row in summaries(spark, store, [session("A B"), session('NO"NE')]).collect()}
    assert (rows["A B"].close, rows["A B"].volume, rows["A B"].vwap) == (1.0, 0, None)
    assert (rows['NO"NE'].open, rows['NO"NE'].volume, rows['NO"NE'].bars_stored) == (None, None, 0)


def test_a_bar_in_the_break_and_two_in_one_minute_fill_no_other_ones_place(
    spark: SparkSession, fresh_bucket: Bucket
) -> None:
    at = [OPEN, OPEN + timedelta(seconds=20), OPEN + MINUTE, OPEN + 2 * MINUTE]
    store = store_with(fresh_bucket, [("AMZN", moment, 1.0, 1.0, 1.0, 1.0, 1) for moment in at])
    lunch = session(break_start=OPEN + MINUTE, break_end=OPEN + 2 * MINUTE)
    [row] = summaries(spark, store, [lunch]).collect()
    assert row.bars_stored == 2


def test_many_sessions_are_read_in_requests_of_bounded_size(
    spark: SparkSession, fresh_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [OPEN + timedelta(days=n) for n in range(5)]
    bars = [("AMZN", day + n * MINUTE, 1.0, 2.0, 0.5, float(n + 1), 1) for day in days for n in range(4)]
    store = store_with(fresh_bucket, bars)
    sessions = [session(opened=day) for day in days]
    monkeypatch.setattr(session_summaries, "_BARS_A_REQUEST", 8)
    assert len(list(session_summaries._requests(sessions))) == 3
    rows = summaries(spark, store, sessions).collect()
    assert sorted((row.session_date, row.close, row.bars_stored) for row in rows) == [
        (day.date(), 4.0, 4) for day in days
    ]


def test_bars_are_put_together_to_candles_from_each_open_on(spark: SparkSession, fresh_bucket: Bucket) -> None:
    bars = [("AMZN", OPEN + n * MINUTE, 10.0 + n, 11.0 + n, 9.0 + n, 10.5 + n, 1) for n in range(4)]
    found = candles(spark, store_with(fresh_bucket, bars), [session()], seconds=180).collect()
    assert [(row.open, row.high, row.low, row.close, row.volume) for row in found] == [
        (10.0, 13.0, 9.0, 12.5, 3),
        (13.0, 14.0, 12.0, 13.5, 1),
    ]


def test_a_refused_token_is_an_error_that_names_the_server(spark: SparkSession, fresh_bucket: Bucket) -> None:
    store = BarStore(fresh_bucket.url, fresh_bucket.org, fresh_bucket.name, MEASUREMENT, "wrong")
    with pytest.raises(Exception, match=f"{fresh_bucket.url} rejected the query: 401"):
        summaries(spark, store, [session()]).collect()
