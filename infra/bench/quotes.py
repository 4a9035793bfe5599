"""How many quotes a second the producer's quote worker reads from Yahoo's WebSocket and publishes to Kafka.

The test server for Yahoo is part of the tests, so this needs a checkout. It sends as fast as it is read.
"""

import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from infra.bench.environment import BenchEnvironment, require_checkout
from infra.host.errors import Exit, StackError
from infra.host.progress import Progress
from infra.settings import service_environment
from stock_assets.ingest.publisher import Publisher
from stock_assets.ingest.quote_worker import QuoteWorker
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.quotes import YahooQuotes
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.websocket import YahooWebSocket

_SERVER = "stock_assets_tests.services.yahoo_stream"
_TIMEOUT_SECONDS = 300


def measure(bench: BenchEnvironment, progress: Progress, quotes: int, symbols: int) -> dict[str, float]:
    """Return the figures of `quotes` quotes of `symbols` symbols, with TLS and protobuf, each acknowledged by Kafka.

    Raises:
        StackError: this is no checkout, the server did not start, or not all quotes were published in time.
    """
    require_checkout(_SERVER)
    topic = bench.topic().quote_topic
    with tempfile.TemporaryDirectory() as folder, _yahoo(quotes, symbols, Path(folder)) as yahoo:
        source = YahooQuotes(
            watched=partial(list, yahoo["symbols"]),
            stream=YahooWebSocket(yahoo["address"], ssl.create_default_context(cafile=yahoo["ca_file"])),
            client=YahooClient(Path(folder)),
            rate_limiter=RateLimiter(Path(folder) / "turns.json", per_minute=60),
        )
        publisher = partial(Publisher, bench.settings.kafka_address, topic)
        with progress.step(f"{quotes:,} quotes"), QuoteWorker(source, publisher) as worker:
            _wait(worker, 1)
            began, cpu, first = time.monotonic(), time.process_time(), worker.heartbeat.records
            _wait(worker, quotes)
            seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return {
        "quotes": quotes,
        "symbols": symbols,
        "quotes_per_second": round((quotes - first) / seconds),
        "cpu_s_a_million": round(cpu / (quotes - first) * 1e6, 1),
    }


def _wait(worker: QuoteWorker, records: int) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while worker.heartbeat.records < records:
        if time.monotonic() > deadline:
            raise StackError(
                f"{worker.heartbeat.records:,} of {records:,} quotes were published: {worker.heartbeat.detail}",
                Exit.FAILED,
            )
        time.sleep(0.01)


@contextmanager
def _yahoo(quotes: int, symbols: int, folder: Path) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", _SERVER, str(quotes), str(symbols), str(folder / "ca.pem")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=service_environment())
    try:
        if server.stdout is None or not (line := server.stdout.readline()):
            raise StackError(f"the test server for Yahoo ended with exit code {server.wait()}", Exit.FAILED)
        yield json.loads(line)
    finally:
        server.kill()
        server.wait()
