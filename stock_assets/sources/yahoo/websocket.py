"""Yahoo's WebSocket, one connection at a time.

The address and the protobuf message are yfinance's. Its `listen` is not used: after a clean close it loops without a
pause, and after any other it does not reconnect.
"""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from yfinance.live import BaseWebSocket

ADDRESS: str = BaseWebSocket().url

_WAIT_SECONDS = 0.2  # for a frame, before the watchlist and `stop` are checked again
_OPEN_SECONDS = 10
_CLOSE_SECONDS = 2
_FRAMES_A_BATCH = 1_000
_QUEUED_FRAMES = 10_000  # received and not read; beyond that TCP slows Yahoo down


class StalledError(Exception):
    """The connection is open, and no frame arrives although a market is open."""


@dataclass
class YahooWebSocket:
    """Opens connections, and subscribes again at regular times."""

    address: str = ADDRESS
    context: ssl.SSLContext | None = None  # None: the certificates that the machine trusts
    proxy: str | None = None  # None: the environment's
    resubscribe_seconds: float = 15.0  # as Yahoo's page does: without it Yahoo stops sending
    stall_seconds: float = 60.0
    _subscribed: set[str] = field(default_factory=set)

    def frames(self, get_symbols: Callable[[], Sequence[str]], stop: Event) -> Iterator[list[str | bytes]]:
        """Open a connection, and yield the frames about the symbols of `get_symbols`, which is called repeatedly.

        Ends when there are no symbols, or `stop` is set.

        Raises:
            OSError: the connection failed or broke.
            websockets.exceptions.WebSocketException: the handshake failed, or the server closed the connection.
            StalledError: no frame has arrived for `stall_seconds`.
        """
        secure = self.context if self.address.startswith("wss:") else None
        with connect(
            self.address,
            ssl=secure,
            proxy=self.proxy or True,
            open_timeout=_OPEN_SECONDS,
            close_timeout=_CLOSE_SECONDS,
            max_queue=_QUEUED_FRAMES,
        ) as connection:
            self._subscribed = set()
            subscribed_at = received_at = time.monotonic()
            while not stop.is_set() and (symbols := set(get_symbols())):
                if symbols != self._subscribed or time.monotonic() - subscribed_at > self.resubscribe_seconds:
                    self._subscribe(connection, symbols)
                    subscribed_at = time.monotonic()
                frames = _received(connection)
                if frames:
                    received_at = time.monotonic()
                    yield frames
                elif time.monotonic() - received_at > self.stall_seconds:
                    raise StalledError(f"no frame for {self.stall_seconds:.0f} s")

    def _subscribe(self, connection: ClientConnection, symbols: set[str]) -> None:
        removed = self._subscribed - symbols
        if removed:
            connection.send(json.dumps({"unsubscribe": sorted(removed)}))
        connection.send(json.dumps({"subscribe": sorted(symbols)}))
        self._subscribed = symbols


def _received(connection: ClientConnection) -> list[str | bytes]:
    """The frames that have arrived; waits a moment for the first one. Empty if none arrives."""
    frames: list[str | bytes] = []
    pause: float = _WAIT_SECONDS
    while len(frames) < _FRAMES_A_BATCH:
        try:
            frames.append(connection.recv(timeout=pause))
        except TimeoutError:
            break
        except ConnectionClosed:
            if frames:  # received before the close; the next call raises
                break
            raise
        pause = 0
    return frames
