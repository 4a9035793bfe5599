"""How long a message takes from its append in Kafka until a query finds its point."""

import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import urllib3
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.producer.future import FutureRecordMetadata

from infra.bench import bars
from infra.bench.environment import BenchEnvironment, Bucket
from infra.host.errors import Exit, StackError, last_lines
from infra.host.progress import Progress
from spark_streaming.contract.periodic import Periodic
from spark_streaming.contract.schema import MEASUREMENT

_PROBE = "PROBE"  # the symbol that is queried; the others are the load
_PROBE_EVERY = 50  # messages
_POLL_SECONDS = 0.02
_WARM_SECONDS = 30  # Spark's first batches take longer than those of a running stream
_FIRST = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)


def measure(bench: BenchEnvironment, progress: Progress, rate: int, seconds: int) -> dict[str, float]:
    """Return percentiles of the probes that were sent in the last `seconds`, and the rate that was reached.

    Raises:
        StackError: the stream ended, or did not keep up.
    """
    names, bucket = bench.topic(), bench.bucket()
    stamp_on_append(bench.settings.kafka_address, names.topic)
    state = bench.settings.stocks_home / "bench-latency"
    state.mkdir()
    poller = _ProbePoller(bucket)
    with bench.stream(names, bucket, state) as process, Periodic(_POLL_SECONDS, poller.poll, "poller"):
        with progress.step(f"{rate} messages a second for {_WARM_SECONDS} + {seconds} s"):
            appended, reached = _send(bench.settings.kafka_address, names.topic, rate, _WARM_SECONDS + seconds)
        if process.poll() is not None or not poller.wait_for(len(appended), 60):
            raise StackError(
                f"the stream did not keep up; the end of its log:\n{last_lines(state / 'log')}", Exit.FAILED
            )
    counted = range(len(appended) * _WARM_SECONDS // (_WARM_SECONDS + seconds), len(appended))
    return percentiles([(poller.seen[n] - appended[n]) * 1000 for n in counted]) | {"messages_per_s": round(reached)}


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99, in milliseconds."""
    cuts = statistics.quantiles(milliseconds, n=100)
    return {"p50_ms": round(cuts[49]), "p99_ms": round(cuts[98])}


def paced(rate: int, seconds: float) -> Iterator[int]:
    """Yield 0, 1, 2, …: `rate` numbers a second, for `seconds` seconds."""
    began = time.monotonic()
    for number in range(round(rate * seconds)):
        ahead = began + number / rate - time.monotonic()
        if ahead > 0.002:
            time.sleep(ahead)
        yield number


def stamp_on_append(broker: str, topic: str) -> None:
    """Configure the topic so that Kafka stamps its messages with the time of their append."""
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"message.timestamp.type": "LogAppendTime"})])
    admin.close()


def _send(broker: str, topic: str, rate: int, seconds: int) -> tuple[list[float], float]:
    """Return when each probe was appended, in seconds since 1970, and how many messages a second were sent."""
    producer = KafkaProducer(bootstrap_servers=broker, linger_ms=0)
    probes: list[FutureRecordMetadata] = []
    began = time.monotonic()
    for number in paced(rate, seconds):
        probe = number % _PROBE_EVERY == 0
        symbol = _PROBE if probe else f"SYM{number % 500:05d}"
        at = _FIRST + timedelta(seconds=len(probes) if probe else number)
        text = bars.message(symbol, at, 100.0, number)
        sent = producer.send(topic, key=symbol.encode(), value=text.encode())
        if probe:
            probes.append(sent)
    took = time.monotonic() - began
    appended = [one.get(timeout=60).timestamp / 1000 for one in probes]
    producer.close()
    return appended, rate * seconds / took


class _ProbePoller:
    """Queries InfluxDB for the newest probes, and keeps when each was first found, in seconds since 1970."""

    def __init__(self, bucket: Bucket) -> None:
        self.seen: list[float] = []
        self._bucket = bucket
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1)

    def wait_for(self, count: int, seconds: float) -> bool:
        """Return whether `count` probes were found within `seconds`."""
        end = time.monotonic() + seconds
        while len(self.seen) < count and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        return len(self.seen) >= count

    def poll(self) -> None:
        """Query once."""
        found = self._count_after(_FIRST + timedelta(seconds=len(self.seen)))
        self.seen += [time.time()] * found

    def _count_after(self, start: datetime) -> int:
        flux = (
            f'from(bucket: "{self._bucket.name}") |> range(start: {start:%Y-%m-%dT%H:%M:%SZ}) '
            f'|> filter(fn: (r) => r._measurement == "{MEASUREMENT}" and r.symbol == "{_PROBE}") '
            '|> filter(fn: (r) => r._field == "volume") |> count() |> keep(columns: ["_value"])'
        )
        headers: Mapping[str, str] = {
            "Authorization": f"Token {self._bucket.read_token}",
            "Content-Type": "application/json",
        }
        body = json.dumps({"query": flux, "dialect": {"header": False}}).encode()
        response = self._pool.request(
            "POST", f"{self._bucket.url}/api/v2/query?org={self._bucket.org}", body=body, headers=headers
        )
        rows = [line for line in response.data.decode().split() if line.strip(",")]
        return int(rows[0].rsplit(",", 1)[1]) if rows else 0
