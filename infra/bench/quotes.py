"""How many quotes a second the producer's worker takes from Yahoo's WebSocket into Kafka.

The server is the tests' own, in a process of its own, so this needs the checkout. It sends as fast as it is read.
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
from importlib.util import find_spec
from pathlib import Path

from infra.bench.environment import BenchEnvironment
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
_PATIENCE_SECONDS = 300


def measure(stand: BenchEnvironment, progress: Progress, quotes: int, symbols: int) -> dict[str, float]:
    """The report on `quotes` quotes of so many symbols, TLS and protobuf included, each acknowledged by Kafka.

    Raises:
        StackError: it is no checkout, or not all came.
    """
    if find_spec(_SERVER.partition(".")[0]) is None:
        raise StackError("the server that stands for Yahoo is the tests' own: run this in a checkout", Exit.USAGE)
    topic = stand.topic().quote_topic
    with tempfile.TemporaryDirectory() as folder, _yahoo(quotes, symbols, Path(folder)) as yahoo:
        source = YahooQuotes(
            watched=partial(list, yahoo["symbols"]),
            stream=YahooWebSocket(yahoo["address"], ssl.create_default_context(cafile=yahoo["ca_file"])),
            client=YahooClient(Path(folder)),
            rate_limiter=RateLimiter(Path(folder) / "turns.json", per_minute=60),
        )
        publisher = partial(Publisher, stand.settings.kafka_address, topic)
        with progress.step(f"{quotes:,} quotes"), QuoteWorker(source, publisher) as worker:
            _wait(worker, 1)
            began, cpu, first = time.monotonic(), time.process_time(), worker.beat.records
            _wait(worker, quotes)
            seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return {
        "quotes": quotes,
        "symbols": symbols,
        "quotes_per_second": round((quotes - first) / seconds),
        "cpu_s_a_million": round(cpu / (quotes - first) * 1e6, 1),
    }


def _wait(worker: QuoteWorker, records: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while worker.beat.records < records:
        if time.monotonic() > deadline:
            raise StackError(f"{worker.beat.records:,} of {records:,} quotes came: {worker.beat.detail}", Exit.FAILED)
        time.sleep(0.01)


@contextmanager
def _yahoo(quotes: int, symbols: int, folder: Path) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", _SERVER, str(quotes), str(symbols), str(folder / "ca.pem")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=service_environment())
    try:
        if server.stdout is None or not (said := server.stdout.readline()):
            raise StackError(f"the server that stands for Yahoo ended with exit code {server.wait()}", Exit.FAILED)
        yield json.loads(said)
    finally:
        server.kill()
        server.wait()
