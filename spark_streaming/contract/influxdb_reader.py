"""Reads InfluxDB by Flux over HTTP, as CSV: the one reader of the stream, the commands and the dashboards' tests.

It runs in Spark's workers too, and imports the standard library alone.
"""

import csv
import http.client
import io
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, cast
from urllib.parse import urlencode, urlsplit

from spark_streaming.contract.backoff import delay_seconds

_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 10.0
_BUSY = (429, 503)
_CONNECT_SECONDS = 10.0


class InfluxDBReadError(RuntimeError):
    """InfluxDB could not be read. `status` is that of its answer, None where none came or it was cut off."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class InfluxDBReader:
    """An InfluxDB, and a token that can read from it."""

    url: str
    organization: str
    token: str = field(repr=False)
    read_seconds: float = 60.0  # how long it may send nothing
    attempts: int = 3  # where it is busy, or refuses the connection

    @contextmanager
    def _stream(self, flux: str, annotations: Sequence[str] = ()) -> Iterator[BinaryIO]:
        """The answer's CSV, to be read as it comes: within the block nothing but reading it, whose errors are taken for
        InfluxDB's.
        """
        body = json.dumps({"query": flux, "dialect": {"annotations": list(annotations), "header": True}}).encode()
        connection, answer = self._answer(body)
        try:
            if answer.status != http.client.OK:
                raise self._rejection(answer.status, answer.read())
            yield cast(BinaryIO, answer)
            if answer.length:  # bytes that are missing: reading it bit by bit doesn't raise
                raise http.client.IncompleteRead(b"", answer.length)
        except (OSError, http.client.HTTPException) as error:
            raise InfluxDBReadError(f"InfluxDB at {self.url} broke off ({type(error).__name__}: {error})") from error
        finally:
            connection.close()

    def read(self, flux: str, annotations: Sequence[str] = ()) -> bytes:
        """Return the answer's CSV as a whole; `annotations` are those of InfluxDB's dialect.

        Raises:
            InfluxDBReadError: InfluxDB doesn't answer, rejects the query, or breaks off.
        """
        with self._stream(flux, annotations) as answer:
            return answer.read()

    def rows(self, flux: str) -> Iterator[dict[str, str]]:
        """Yield the rows of all tables of the answer as they come: column -> text.

        Raises:
            InfluxDBReadError: see `read`; also where the query fails after its first rows.
        """
        header: list[str] = []
        with self._stream(flux) as answer:
            for cells in csv.reader(io.TextIOWrapper(answer, encoding="utf-8", newline="")):
                if not any(cells):  # after it comes the header of another table
                    header = []
                elif not header:
                    header = cells
                else:
                    row = dict(zip(header, cells, strict=True))
                    if "error" in row:
                        raise InfluxDBReadError(f"InfluxDB at {self.url} failed: {row['error']}")
                    yield row

    def _answer(self, body: bytes) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        for attempt in range(1, self.attempts + 1):
            connection = self._connection()
            try:
                answer = self._post(connection, body)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if attempt == self.attempts or not isinstance(error, ConnectionRefusedError):
                    raise InfluxDBReadError(
                        f"InfluxDB at {self.url} does not answer ({type(error).__name__}): start the platform with "
                        "`stocks up`, or name the server by INFLUXDB_URL"
                    ) from error
            else:
                if answer.status not in _BUSY or attempt == self.attempts:
                    return connection, answer
                connection.close()
            time.sleep(delay_seconds(attempt, _FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS))
        raise ValueError(f"attempts is {self.attempts}, and must be 1 at least")

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.netloc, timeout=_CONNECT_SECONDS)

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> http.client.HTTPResponse:
        connection.connect()
        connection.sock.settimeout(self.read_seconds)
        path = f"{urlsplit(self.url).path.rstrip('/')}/api/v2/query?{urlencode({'org': self.organization})}"
        headers = {
            "Authorization": f"Token {self.token}",
            "Content-Type": "application/json",
            "Accept": "application/csv",
        }
        connection.request("POST", path, body, headers)
        return connection.getresponse()

    def _rejection(self, status: int, body: bytes) -> InfluxDBReadError:
        remedy = (
            ". Is SOURCE the running one, and INFLUX_READ_TOKEN that of its bucket?" if status in (401, 404) else ""
        )
        return InfluxDBReadError(
            f"InfluxDB at {self.url} rejected the query: {status} {_message(body)}{remedy}", status
        )


def _message(body: bytes) -> str:
    """InfluxDB's error message, or the beginning of another server's answer."""
    text = body.decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300]
