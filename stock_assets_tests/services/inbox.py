"""Servers of a test's own to which Apprise's json:// delivers notifications."""

import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


class _Server:
    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"json://127.0.0.1:{self._server.server_port}/hook"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _QuietHandler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing: the test's output is not for it."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))


class Inbox(_Server):
    """Keeps what it is sent; `answer` is the status that it answers with: only with 200 it keeps the message."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.answer = 200
        inbox = self

        class Handler(_QuietHandler):
            def do_POST(self) -> None:
                body = self.body()
                if inbox.answer == 200:
                    inbox.messages.append(json.loads(body))
                self.send_response(inbox.answer)
                self.end_headers()

        super().__init__(Handler)

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]


class HangingInbox(_Server):
    """Doesn't finish its answer: it sends a byte now and then, so that no time-out of a single read ends the wait."""

    def __init__(self) -> None:
        self.requests = 0
        self._closing = closing = Event()
        inbox = self

        class Handler(_QuietHandler):
            def do_POST(self) -> None:
                self.body()
                inbox.requests += 1
                with suppress(OSError):  # the client was killed
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    while not closing.wait(0.5):
                        self.wfile.write(b".")
                    self.wfile.write(b"\r\nContent-Length: 0\r\n\r\n")

        super().__init__(Handler)

    def finish(self) -> None:
        """Finish the answers."""
        self._closing.set()

    def close(self) -> None:
        self.finish()
        super().close()
