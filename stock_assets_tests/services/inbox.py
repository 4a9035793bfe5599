"""Someone to be told: a server to which Apprise really delivers."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Inbox:
    """A person's own server, to which Apprise's json:// delivers."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.answer = 200
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if inbox.answer == 200:
                    inbox.messages.append(json.loads(body))
                self.send_response(inbox.answer)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The test's output is no place for it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}/hook"
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
