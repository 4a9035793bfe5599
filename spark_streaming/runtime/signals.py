"""The signals that end the program."""

import signal
from types import FrameType


class StopSignals:
    """Records SIGINT and SIGTERM."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def listen(self) -> None:
        """Handle both signals. Call it again once Spark has started, because pyspark replaces the handler of SIGINT."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._record)

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
