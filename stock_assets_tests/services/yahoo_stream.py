"""A WebSocket server that sends frames like Yahoo's: over TLS, protobuf in base64 in JSON, after a subscription."""

import base64
import http
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve
from yfinance.pricing_pb2 import PricingData

Frame = str | bytes
Script = Callable[["Connection"], None]  # what the server does with a connection after its subscription


def frame_of(symbol: str, milliseconds: int, price: float, **fields: Any) -> str:
    """A frame as Yahoo sends it; `fields` are those of PricingData. Protobuf leaves zeros out."""
    data = PricingData(id=symbol, time=milliseconds, price=price, **fields)
    return json.dumps({"type": "pricing", "message": base64.b64encode(data.SerializeToString()).decode()})


@dataclass
class Connection:
    """A connection, and the subscriptions received on it."""

    socket: ServerConnection
    subscribed: list[list[str]] = field(default_factory=list)
    unsubscribed: list[list[str]] = field(default_factory=list)

    def send(self, *frames: Frame) -> None:
        for frame in frames:
            self.socket.send(frame)

    def listen(self) -> None:
        """Receive subscriptions until the client disconnects."""
        for message in self.socket:
            self.receive(message)

    def receive(self, message: Frame) -> None:
        content = json.loads(message)
        if "subscribe" in content:
            self.subscribed.append(content["subscribe"])
        if "unsubscribe" in content:
            self.unsubscribed.append(content["unsubscribe"])


def send_and_wait(*frames: Frame) -> Script:
    """Send the frames, and wait for the client to disconnect."""

    def script(connection: Connection) -> None:
        connection.send(*frames)
        connection.listen()

    return script


def send_and_close(*frames: Frame) -> Script:
    """Send the frames, then close with a closing handshake."""

    def script(connection: Connection) -> None:
        connection.send(*frames)
        connection.socket.close()

    return script


def send_and_disconnect(*frames: Frame) -> Script:
    """Send the frames, then close without a closing handshake."""

    def script(connection: Connection) -> None:
        connection.send(*frames)
        connection.socket.socket.shutdown(socket.SHUT_RDWR)

    return script


class StreamServer:
    """Serves on a port of 127.0.0.1. Each connection runs the next of `scripts`; without one it only receives."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.handshakes_to_reject = 0
        self.connections: list[Connection] = []
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
        self.authority = authority.cert_pem.bytes()
        self._server = serve(self._receive, "127.0.0.1", 0, ssl=context, process_request=self._accept_or_reject)
        self.address = f"wss://127.0.0.1:{self._server.socket.getsockname()[1]}/?version=2"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        for connection in self.connections:
            connection.socket.close()
        self._thread.join()

    def _accept_or_reject(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.handshakes_to_reject > 0:
            self.handshakes_to_reject -= 1
            return connection.respond(http.HTTPStatus.FORBIDDEN, "rejected by the test\n")
        return None

    def _receive(self, socket: ServerConnection) -> None:
        connection = Connection(socket)
        try:
            connection.receive(socket.recv())
            self.connections.append(connection)
            (self.scripts.pop(0) if self.scripts else Connection.listen)(connection)
        except (ConnectionClosed, OSError):
            return


def main(quotes: int, symbols: int, certificate: Path) -> None:
    """For a benchmark: print the address, and send `quotes` quotes of `symbols` symbols, which always trade, after a
    subscription."""
    names = [f"S{number:04d}-USD" for number in range(symbols)]
    begin = time.time_ns() // 1_000_000
    frames = [
        frame_of(names[n % symbols], begin + n, 100 + n % 97, bid=99.5, ask=100.5, day_volume=n + 1, market_hours=1)
        for n in range(quotes)
    ]
    server = StreamServer()
    server.scripts = [send_and_wait(*frames)]
    certificate.write_bytes(server.authority)
    print(json.dumps({"address": server.address, "ca_file": str(certificate), "symbols": names}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
