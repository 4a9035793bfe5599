"""A proxy before InfluxDB that fails in the ways that networks and busy servers do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import urllib3

# Status and Retry-After; None closes the connection at once, "lost" does so once the server has carried it out.
Fault = tuple[int, str] | Literal["lost"] | None


@contextmanager
def front_of(url: str, faults: list[Fault], port: int = 0) -> Iterator[str]:
    """The address of a proxy of `url` that answers the first requests with `faults`, and passes the others on."""
    remaining = iter(faults)
    passing = object()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = next(remaining, passing)
            if fault is None:
                self.close_connection = True
            elif isinstance(fault, tuple):
                status, retry_after = fault
                self._answer(status, b"", {"Retry-After": retry_after} if retry_after else {})
            else:
                answer = urllib3.request("POST", url + self.path, body=body, headers=dict(self.headers.items()))
                if fault == "lost":
                    self.close_connection = True
                    return
                self._answer(answer.status, answer.data, {})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
