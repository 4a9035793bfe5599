"""Arrow's fast way and the rule give the same reasons, lines and times."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_streaming.contract.validity import rejection_reason
from spark_streaming.parse import line_protocol
from spark_streaming.parse.bars import rejection_reasons, to_lines
from stock_assets_tests.spark_streaming.cases import BAR, SENT, Case, validity_cases

CASES = validity_cases()
Columns = tuple[pa.Array, pa.Array, pa.Array]


def columns(messages: Sequence[tuple[bytes | None, bytes | None]]) -> Columns:
    keys, values = zip(*messages, strict=True)
    sent = pa.array([SENT] * len(keys), pa.timestamp("us", "UTC"))
    return pa.array(keys, pa.binary()), pa.array(values, pa.binary()), sent


def line_of(key: bytes | None, value: bytes | None, measurement: str = "stock-price-v1") -> str | None:
    """The line of a message that comes alone."""
    lines, times = to_lines(*columns([(key, value)]), measurement)
    assert (times[0].as_py() is None) == (lines[0].as_py() is None)
    line: str | None = lines[0].as_py()
    return line


@pytest.fixture(scope="module")
def together() -> dict[str, tuple[str | None, str | None]]:
    """Line and reason of each case by its name, with all cases and plain bars between them in one batch."""
    plain = (b"AMZN", json.dumps(BAR).encode())
    messages = [message for case in CASES for message in ((case.key, case.value), plain)]
    lines, _ = to_lines(*columns(messages), "stock-price-v1")
    reasons = rejection_reasons(*columns(messages))
    assert lines[1::2].null_count == 0
    return {case.name: (lines[2 * n].as_py(), reasons[2 * n].as_py()) for n, case in enumerate(CASES)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_has_the_reason_of_the_rule(case: Case, together: dict[str, tuple[str | None, str | None]]) -> None:
    line, reason = together[case.name]
    assert reason == case.reason
    assert (line is None) == (case.reason is not None)
    assert line == line_of(case.key, case.value), "other messages of the batch change nothing"


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def test_a_bar_becomes_a_line_that_ends_in_a_newline() -> None:
    case = case_named("a bar as the producer writes it")
    assert line_of(case.key, case.value) == (
        "stock-price-v1,interval=1m,symbol=AMZN open=217.1,high=217.4,low=216.9,close=217.2,volume=48210i 1732113000\n"
    )


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
def test_a_symbol_is_escaped_as_a_tag(name: str, tag: str) -> None:
    case = case_named(name)
    assert f",symbol={tag} open=" in str(line_of(case.key, case.value))


def test_a_whole_volume_written_as_a_float_is_an_integer() -> None:
    for name, field in (("integral float as volume", "48210i"), ("the largest volume", "9007199254740991i")):
        case = case_named(name)
        assert f"volume={field} " in str(line_of(case.key, case.value))


def test_a_measurement_is_escaped() -> None:
    line = str(line_of(b"AMZN", json.dumps(BAR).encode(), "my prices, v'1="))
    assert line.startswith(r"my\ prices\,\ v'1=,interval=1m,")


def test_no_record_is_no_line() -> None:
    keys, values, sent = (column[:0] for column in columns([(b"", b"")]))
    assert [len(column) for column in to_lines(keys, values, sent, "m")] == [0, 0]


PRICES = st.sampled_from([0, 1, 217, 217.1, 1e-9, 123456789.125, 1e15, 1e300]) | st.floats(0, 1e6)
TEXTS = {
    "symbol": st.sampled_from(["AAPL", "^GSPC", "EURUSD=X", "BRK B", "A,B", "", "株"]) | st.text(max_size=3),
    "timestamp": st.integers(-9, int(SENT.timestamp())).map(
        lambda s: f"{datetime.fromtimestamp(s, UTC):%Y-%m-%dT%H:%M:%SZ}"
    )
    | st.sampled_from(
        [
            "2024-02-29T23:59:59Z",
            "2023-02-29T00:00:00Z",
            "2024-02-30T00:00:00Z",
            "2024-11-21T14:31:00Z",
            "2024-11-21T14:31:01Z",
            "2024-11-20T24:00:00Z",
        ]
    ),
    "interval": st.sampled_from(["1m", "1d", "0m", "1wk", "10000s"]),
}
VOLUMES = st.sampled_from([0, 48210, 48210.0, 0.5, 2**53 - 1, 2**53, -1])


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Bars that are valid more often than not, in the producer's writing or another."""
    prices = sorted(draw(st.lists(PRICES, min_size=4, max_size=4)))
    if draw(st.integers(0, 4)) == 0:
        prices.reverse()
    low, opened, close, high = prices
    bar: dict[str, object] = {name: draw(text) for name, text in TEXTS.items()}
    bar |= {"open": opened, "high": high, "low": low, "close": close, "volume": draw(VOLUMES)}
    separators = draw(st.sampled_from([(", ", ": "), (",", ":"), (" , ", " : ")]))
    return str(bar["symbol"]).encode(), json.dumps(
        bar, separators=separators, ensure_ascii=draw(st.booleans())
    ).encode()


@given(st.lists(messages(), min_size=1, max_size=20))
def test_many_at_once_become_what_the_rule_makes_of_each(sent: list[tuple[bytes, bytes]]) -> None:
    lines, times = to_lines(*columns(sent), "m")
    for message, line, time in zip(sent, lines.to_pylist(), times.to_pylist(), strict=True):
        if rejection_reason(*message, SENT) is not None:
            assert line is None
            continue
        bar = json.loads(message[1])
        assert time == int(datetime.fromisoformat(bar["timestamp"]).astimezone(UTC).timestamp())
        assert numbers_in(line) == numbers_in(line_protocol.line("m", bar, time))


def numbers_in(line: str) -> tuple[str, dict[str, float], str]:
    """Tags, fields and time: InfluxDB reads the same number from 217, 217.0 and 2.17e2."""
    head, fields, time = line.rsplit(" ", 2)
    *prices, volume = (field.split("=") for field in fields.split(","))
    assert volume[1].endswith("i")
    return head, {name: float(text) for name, text in prices} | {"volume": float(volume[1][:-1])}, time
