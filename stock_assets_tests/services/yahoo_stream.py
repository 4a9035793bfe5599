"""A WebSocket server that speaks as Yahoo's does: over TLS, protobuf in base64 in JSON, to those who subscribe."""

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
Act = Callable[["Visit"], None]  # what the server does with a connection once it has subscribed


def frame_of(symbol: str, milliseconds: int, price: float, **fields: Any) -> str:
    """A frame as Yahoo sends it; `fields` are those of PricingData. What is zero is left out, as protobuf does."""
    data = PricingData(id=symbol, time=milliseconds, price=price, **fields)
    return json.dumps({"type": "pricing", "message": base64.b64encode(data.SerializeToString()).decode()})


@dataclass
class Visit:
    """One connection, and what came on it."""

    connection: ServerConnection
    subscribed: list[list[str]] = field(default_factory=list)
    unsubscribed: list[list[str]] = field(default_factory=list)

    def say(self, *frames: Frame) -> None:
        for frame in frames:
            self.connection.send(frame)

    def listen(self) -> None:
        """Take what the client says, until it leaves."""
        for message in self.connection:
            self.take(message)

    def take(self, message: Frame) -> None:
        said = json.loads(message)
        if "subscribe" in said:
            self.subscribed.append(said["subscribe"])
        if "unsubscribe" in said:
            self.unsubscribed.append(said["unsubscribe"])


def saying(*frames: Frame) -> Act:
    """Say so, and stay."""

    def act(visit: Visit) -> None:
        visit.say(*frames)
        visit.listen()

    return act


def closing(*frames: Frame) -> Act:
    """Send the frames, then close with a closing handshake."""

    def act(visit: Visit) -> None:
        visit.say(*frames)
        visit.connection.close()

    return act


def breaking_off(*frames: Frame) -> Act:
    """Send the frames, then close without a closing handshake."""

    def act(visit: Visit) -> None:
        visit.say(*frames)
        visit.connection.socket.shutdown(socket.SHUT_RDWR)

    return act


class StreamServer:
    """Serves on a port of 127.0.0.1. Each connection gets the next act; one more than there are is listened to."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.refusals = 0  # of the next handshakes
        self.refused = 0
        self.visits: list[Visit] = []
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
        self.authority = authority.cert_pem.bytes()
        self._server = serve(self._receive, "127.0.0.1", 0, ssl=context, process_request=self._answer)
        self.address = f"wss://127.0.0.1:{self._server.socket.getsockname()[1]}/?version=2"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        for visit in self.visits:
            visit.connection.close()
        self._thread.join()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refusals > 0:
            self.refusals -= 1
            self.refused += 1
            return connection.respond(http.HTTPStatus.FORBIDDEN, "not from here\n")
        return None

    def _receive(self, connection: ServerConnection) -> None:
        visit = Visit(connection)
        try:
            visit.take(connection.recv())
            self.visits.append(visit)
            (self.acts.pop(0) if self.acts else Visit.listen)(visit)
        except (ConnectionClosed, OSError):
            return


def main(quotes: int, symbols: int, certificate: Path) -> None:
    """For a benchmark: say where it is, and give who subscribes so many quotes of symbols that trade at any hour."""
    names = [f"S{number:04d}-USD" for number in range(symbols)]
    begin = time.time_ns() // 1_000_000
    frames = [
        frame_of(names[n % symbols], begin + n, 100 + n % 97, bid=99.5, ask=100.5, day_volume=n + 1, market_hours=1)
        for n in range(quotes)
    ]
    server = StreamServer()
    server.acts = [saying(*frames)]
    certificate.write_bytes(server.authority)
    print(json.dumps({"address": server.address, "ca_file": str(certificate), "symbols": names}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
