"""The reader of InfluxDB: against the real server, and against servers that answer as busy and broken ones do."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from spark_streaming.contract import influxdb_reader
from spark_streaming.contract.flux import EVER, PIVOT, flux_time, select
from spark_streaming.contract.influxdb_reader import InfluxDBReader, InfluxDBReadError
from stock_assets_tests.services.fixtures import Bucket, free_ports

TABLES = b"result,table,_value\r\na,0,1\r\na,0,2\r\n\r\nresult,table,symbol\r\nb,1,A B\r\n\r\n"
Answer = tuple[int, bytes]


@contextmanager
def server(answers: Sequence[Answer], promised: int = 0, port: int = 0) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one answer after the other, and the bodies that it gets; each promises more bytes."""
    remaining, bodies = iter(answers), list[bytes]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = next(remaining)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + promised))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    made = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", bodies
    finally:
        made.shutdown()
        made.server_close()


@pytest.fixture(autouse=True)
def _without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(influxdb_reader, "_FIRST_DELAY_SECONDS", 0.05)


def test_rows_have_the_columns_of_their_table() -> None:
    with server([(200, TABLES)]) as (url, bodies):
        rows = list(InfluxDBReader(f"{url}/", "stocks", "t").rows("from()"))
    assert rows == [
        {"result": "a", "table": "0", "_value": "1"},
        {"result": "a", "table": "0", "_value": "2"},
        {"result": "b", "table": "1", "symbol": "A B"},
    ]
    assert json.loads(bodies[0]) == {"query": "from()", "dialect": {"annotations": [], "header": True}}


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(status: int) -> None:
    with server([(status, b""), (status, b""), (200, TABLES)]) as (url, bodies):
        assert InfluxDBReader(url, "stocks", "t").read("from()") == TABLES
    assert len(bodies) == 3


def test_a_server_that_stays_busy_is_an_error() -> None:
    with server([(503, b"later")] * 3) as (url, _), pytest.raises(InfluxDBReadError, match="503 later") as failed:
        InfluxDBReader(url, "stocks", "t").read("from()")
    assert failed.value.status == 503


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b'{"message": "unauthorized access"}', "401 unauthorized access. Is SOURCE the running one"),
        (404, b'{"message": "no such bucket"}', "INFLUX_READ_TOKEN that of its bucket"),
        (400, b'{"message": "syntax error"}', "400 syntax error$"),
        (502, b"<html>a proxy's</html>", "502 <html>a proxy's"),
        (500, b"[1]", r"500 \[1\]"),
    ],
)
def test_a_rejection_is_reported_with_its_reason_and_not_retried(status: int, body: bytes, expected: str) -> None:
    with server([(status, body)]) as (url, bodies):
        with pytest.raises(InfluxDBReadError, match=f"^InfluxDB at {url} rejected the query: .*{expected}") as failed:
            InfluxDBReader(url, "stocks", "t").read("from()")
        assert failed.value.status == status
    assert len(bodies) == 1


def test_a_query_that_fails_after_its_first_rows_is_an_error() -> None:
    broken = TABLES + b"error,reference\r\nout of memory,897\r\n"
    with server([(200, broken)]) as (url, _), pytest.raises(InfluxDBReadError, match="failed: out of memory"):
        list(InfluxDBReader(url, "stocks", "t").rows("from()"))


def test_a_body_that_breaks_off_is_an_error() -> None:
    for read in (lambda reader: reader.read("from()"), lambda reader: list(reader.rows("from()"))):
        with server([(200, TABLES)], promised=10) as (url, _), pytest.raises(InfluxDBReadError, match="broke off"):
            read(InfluxDBReader(url, "stocks", "t", read_seconds=1))


def test_no_server_is_an_error_with_a_remedy_and_one_that_comes_up_meanwhile_is_read() -> None:
    [port] = free_ports(1)
    reader = InfluxDBReader(f"http://127.0.0.1:{port}", "stocks", "t", attempts=2)
    with pytest.raises(
        InfluxDBReadError, match=r"does not answer \(ConnectionRefusedError\): start .*`stocks up`"
    ) as no:
        reader.read("from()")
    assert no.value.status is None
    patient = InfluxDBReader(f"http://127.0.0.1:{port}", "stocks", "t", attempts=8)
    found: list[bytes] = []
    reading = threading.Thread(target=lambda: found.append(patient.read("from()")))
    reading.start()
    time.sleep(0.1)
    with server([(200, TABLES)], port=port):
        reading.join(20)
    assert found == [TABLES]


def test_a_server_that_does_not_answer_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InfluxDBReadError, match=r"does not answer \(TimeoutError\)"):
            InfluxDBReader(url, "stocks", "t", read_seconds=0.2).read("from()")


def test_the_token_is_in_no_repr() -> None:
    assert "secret" not in repr(InfluxDBReader("http://i", "o", "secret"))


def test_the_text_of_a_query() -> None:
    begin = datetime(2026, 11, 20, 9, 30, tzinfo=timezone(timedelta(hours=-5)))
    text = select('b"', "m", begin, EVER[1], symbol="A${x}", interval=None, field="close")
    assert text == (
        'from(bucket: "b\\"") |> range(start: 2026-11-20T14:30:00Z, stop: 2100-01-01T00:00:00Z) '
        '|> filter(fn: (r) => r._measurement == "m" and r.symbol == "A\\${x}" and r._field == "close")'
    )
    assert flux_time(datetime(2026, 1, 1, 0, 0, 0, 500_000, UTC)) == "2026-01-01T00:00:00.500000Z"


@pytest.mark.services
def test_what_was_stored_is_read_back_from_the_real_server(fresh_bucket: Bucket) -> None:
    bucket = fresh_bucket
    url = f"{bucket.url}/api/v2/write?org={bucket.org}&bucket={bucket.name}&precision=s"
    lines = "".join(f"m,symbol=A\\ B,interval=1m close={n}.5,volume={n}i {60 * n}\n" for n in range(1, 4))
    headers = {"Authorization": f"Token {bucket.write_token}"}
    assert urllib3.request("POST", url, body=lines, headers=headers).status == 204
    reader = InfluxDBReader(bucket.url, bucket.org, bucket.read_token)
    flux = f"{select(bucket.name, 'm', *EVER, symbol='A B', interval='1m')} {PIVOT}"
    rows = list(reader.rows(flux))
    assert [(row["_time"], row["close"], row["volume"]) for row in rows] == [
        ("1970-01-01T00:01:00Z", "1.5", "1"),
        ("1970-01-01T00:02:00Z", "2.5", "2"),
        ("1970-01-01T00:03:00Z", "3.5", "3"),
    ]
    assert list(reader.rows(select(bucket.name, "m", *EVER, symbol="none"))) == []
    assert reader.read(flux, annotations=("datatype",)).startswith(b"#datatype,string")
    with pytest.raises(InfluxDBReadError, match="rejected the query: 401"):
        InfluxDBReader(bucket.url, bucket.org, "wrong").read(flux)
