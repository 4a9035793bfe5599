"""How the program is asked to end."""

import signal
from types import FrameType


class StopSignals:
    """Remembers that SIGINT or SIGTERM came."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def listen(self) -> None:
        """Take over both signals; to be called again once Spark has started, because pyspark takes SIGINT."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
