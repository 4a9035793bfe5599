"""Messages of quotes to lines: the cases, and the time that a point has."""

import json

import pyarrow as pa
import pytest

from spark_streaming.parse.quotes import nanoseconds, quote_lines, quote_rejection_reasons
from stock_assets_tests.spark_streaming.cases import QUOTE, SENT, Case, quote_cases

CASES = quote_cases()
AT = 1732113000123  # of QUOTE, in milliseconds


def records(*messages: tuple[bytes | None, bytes | None], offset: int = 0) -> pa.RecordBatch:
    keys, values = zip(*messages, strict=True)
    count = len(messages)
    return pa.RecordBatch.from_pydict(
        {
            "key": pa.array(keys, pa.binary()),
            "value": pa.array(values, pa.binary()),
            "timestamp": pa.array([SENT] * count, pa.timestamp("us", "UTC")),
            "offset": pa.array(range(offset, offset + count), pa.int64()),
        }
    )


def of(**changes: object) -> tuple[bytes, bytes]:
    quote = {name: value for name, value in (QUOTE | changes).items() if value is not None}
    return str(quote["symbol"]).encode(), json.dumps(quote).encode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_becomes_a_line_or_a_rejection(case: Case) -> None:
    batch = records((case.key, case.value))
    lines, times = quote_lines(batch, "stock-quote-v1")
    [reason] = quote_rejection_reasons(batch["key"], batch["value"], batch["timestamp"]).to_pylist()
    assert reason == case.reason
    assert (lines[0].as_py() is None) == (times[0].as_py() is None) == (case.reason is not None)


def test_a_line_has_the_fields_of_the_quote_and_no_others() -> None:
    lines, times = quote_lines(records(of(), of(bid=None, last_size=None, market_phase=None), offset=5), "m, n")
    assert lines.to_pylist() == [
        "m\\,\\ n,symbol=AMZN price=217.1,bid=217.05,ask=217.15,change_percent=-0.42,last_size=100i,"
        f'day_volume=48210i,market_phase="regular" {AT}000005\n',
        f"m\\,\\ n,symbol=AMZN price=217.1,ask=217.15,change_percent=-0.42,day_volume=48210i {AT}000006\n",
    ]
    assert times.to_pylist() == [AT // 1000] * 2


def test_a_symbol_is_escaped() -> None:
    lines, _ = quote_lines(records(of(symbol="A B,C=D")), "m")
    assert lines[0].as_py().startswith("m,symbol=A\\ B\\,C\\=D price=")


def test_ticks_of_one_millisecond_keep_their_order_and_stay_in_it() -> None:
    lines, _ = quote_lines(records(*[of(price=price) for price in (1, 2, 3)], offset=4_999_997), "m")
    assert [int(line.as_py().split()[-1]) for line in lines] == [AT * 10**6 + 999_997 + n for n in range(3)]


def test_the_time_is_a_function_of_the_quote_and_its_offset() -> None:
    text = "2024-11-20T14:30:00.123Z"
    assert nanoseconds(text, 7_000_000) == nanoseconds(text, 0) == AT * 10**6
    assert nanoseconds("1970-01-01T00:00:00.001Z", 1_999_999) == 1_999_999
