"""Yahoo's WebSocket, one connection at a time.

yfinance has the address and the message; its own `listen` neither reconnects nor rests, so the connection is ours.
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

_LOOK_SECONDS = 0.2  # how soon a change of the watchlist, or the end, is noticed
_OPEN_SECONDS = 10
_CLOSE_SECONDS = 2
_FRAMES_A_BATCH = 1_000
_QUEUED_FRAMES = 10_000  # what may wait here while Kafka takes its time; then Yahoo is made to wait


class StalledError(Exception):
    """The connection stands, and nothing comes though the market is open."""


@dataclass
class YahooWebSocket:
    """Opens connections, and keeps each as Yahoo wants it kept."""

    address: str = ADDRESS
    context: ssl.SSLContext | None = None  # none: the machine's own certificates
    proxy: str | None = None  # none: the environment's
    resubscribe_seconds: float = 15.0  # as Yahoo's page does: else it sends nothing more after a while
    stall_seconds: float = 60.0
    _subscribed: set[str] = field(default_factory=set)

    def frames(self, wanted: Callable[[], Sequence[str]], stop: Event) -> Iterator[list[str | bytes]]:
        """Yield what comes about the symbols of `wanted`, which is asked all the time, on one new connection.

        Ends where nothing is wanted any more, or `stop` is set.

        Raises:
            OSError: no connection, or it broke.
            websockets.exceptions.WebSocketException: the same, by the protocol's own rules; a clean close too.
            StalledError: nothing has come for `stall_seconds`.
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
            subscribed_at = heard_at = time.monotonic()
            while not stop.is_set() and (symbols := set(wanted())):
                if symbols != self._subscribed or time.monotonic() - subscribed_at > self.resubscribe_seconds:
                    self._subscribe(connection, symbols)
                    subscribed_at = time.monotonic()
                frames = _received(connection)
                if frames:
                    heard_at = time.monotonic()
                    yield frames
                elif time.monotonic() - heard_at > self.stall_seconds:
                    raise StalledError(f"nothing came for {self.stall_seconds:.0f} s")

    def _subscribe(self, connection: ClientConnection, symbols: set[str]) -> None:
        gone = self._subscribed - symbols
        if gone:
            connection.send(json.dumps({"unsubscribe": sorted(gone)}))
        connection.send(json.dumps({"subscribe": sorted(symbols)}))
        self._subscribed = symbols


def _received(connection: ClientConnection) -> list[str | bytes]:
    """All that is there, or the first that comes within a moment."""
    frames: list[str | bytes] = []
    pause: float = _LOOK_SECONDS
    while len(frames) < _FRAMES_A_BATCH:
        try:
            frames.append(connection.recv(timeout=pause))
        except TimeoutError:
            break
        except ConnectionClosed:
            if frames:  # they came before it; the next call meets it again
                break
            raise
        pause = 0
    return frames
