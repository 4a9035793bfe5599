"""The bars of a benchmark, as messages and as line protocol, and a fast way to publish a million of them.

`python -m infra.bench.bars BROKER TOPIC FILE JARS` publishes a file of `key<tab>value` lines with Spark, some 100,000
messages a second; kafka-python publishes 18,000.
"""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spark_streaming.contract.schema import MEASUREMENT

_FIRST = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)


def bars(count: int, symbols: int) -> Iterator[tuple[str, datetime, float, int]]:
    """Yield symbol, start of the minute (UTC), opening price and volume; the same bars each time."""
    for number in range(count):
        minute, symbol = divmod(number, symbols)
        yield f"SYM{symbol:05d}", _FIRST + timedelta(minutes=minute), 100 + number * 37 % 9973 / 100, number % 99_991


def message(symbol: str, at: datetime, price: float, volume: int) -> str:
    """Return the bar as JSON, as the platform's producer writes it."""
    return (
        f'{{"symbol": "{symbol}", "timestamp": "{at:%Y-%m-%dT%H:%M:%SZ}", "interval": "1m", "open": {price:.2f}, '
        f'"high": {price + 0.4:.2f}, "low": {price - 0.4:.2f}, "close": {price + 0.1:.2f}, "volume": {volume}}}'
    )


def line(symbol: str, at: datetime, price: float, volume: int) -> str:
    """Return the bar as line protocol, as the stream writes it."""
    return (
        f"{MEASUREMENT},interval=1m,symbol={symbol} open={price:.2f},high={price + 0.4:.2f},low={price - 0.4:.2f},"
        f"close={price + 0.1:.2f},volume={volume}i {at.timestamp():.0f}\n"
    )


def publish(broker: str, topic: str, file: Path, jars: Path) -> None:
    """Publish a file of `key<tab>value` lines to a topic."""
    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.extraClassPath", f"{jars}/*")
        .getOrCreate()
    )
    lines = spark.read.text(f"file://{file}")
    records = lines.selectExpr("substring_index(value, '\\t', 1) AS key", "substring_index(value, '\\t', -1) AS value")
    records.write.format("kafka").options(**{"kafka.bootstrap.servers": broker, "topic": topic}).save()
    spark.stop()


if __name__ == "__main__":
    publish(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
