"""The JVM decides as Python does: the shared cases through a real Spark session."""

import os
import sys
from collections.abc import Iterator

import pytest
from pyspark.sql import Row, SparkSession

from spark_streaming.transform import with_lines
from stock_assets_tests.spark_streaming.cases import SENT, Case, validity_cases

CASES = validity_cases()


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> dict[str, Row]:
    """What became of each case, by its name."""
    messages = [(number, SENT, case.key, case.value) for number, case in enumerate(CASES)]
    records = spark.createDataFrame(messages, "offset bigint, timestamp timestamp, key binary, value binary")
    return {CASES[row.offset].name: row for row in with_lines(records, "stock-price-v1").collect()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_jvm_decides_as_python_does(case: Case, rows: dict[str, Row]) -> None:
    assert (rows[case.name].line is None) == (case.reason is not None)


def test_a_bar_becomes_a_line_that_ends_in_a_newline(rows: dict[str, Row]) -> None:
    row = rows["a bar as the producer writes it"]
    assert row.line == (
        "stock-price-v1,interval=1m,symbol=AMZN open=217.1,high=217.4,low=216.9,close=217.2,volume=48210i 1732113000\n"
    )
    assert row.time == 1732113000


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("symbol with a space inside", r"BRK\ B"),
        ("symbol with a comma", r"A\,B"),
        ("symbol with an equals sign", r"A\=B"),
        ("symbol with a quote", 'A"B'),
        ("symbol with a backslash before a comma", r"A\\,B"),
        ("symbol with non-ASCII letters", "ÅÄÖ株式"),
    ],
)
def test_a_symbol_is_escaped_as_a_tag(name: str, tag: str, rows: dict[str, Row]) -> None:
    assert f",symbol={tag} open=" in rows[name].line


def test_a_whole_volume_written_as_a_float_is_an_integer(rows: dict[str, Row]) -> None:
    assert "volume=48210i " in rows["integral float as volume"].line
    assert "volume=9007199254740991i " in rows["the largest volume"].line


def test_a_measurement_is_escaped(spark: SparkSession) -> None:
    records = spark.createDataFrame(
        [(SENT, CASES[0].key, CASES[0].value)], "timestamp timestamp, key binary, value binary"
    )
    assert with_lines(records, "my prices, v'1=").collect()[0].line.startswith(r"my\ prices\,\ v'1=,interval=1m,")
