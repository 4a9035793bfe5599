"""The stream as a separate program, against the test run's servers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.servers import spark
from infra.settings import StackSettings
from spark_streaming.contract.heartbeat import Heartbeat, read_heartbeat
from spark_streaming.contract.schema import SourceNames
from stock_assets_tests.services.fixtures import Bucket


@dataclass(frozen=True)
class Program:
    """A started `python -m spark_streaming`."""

    process: subprocess.Popen[bytes]
    state: Path
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def heartbeat(self) -> Heartbeat:
        found = read_heartbeat(self.state)
        assert found is not None, self.log
        return found

    def wait_for(self, condition: Callable[["Program"], bool], seconds: float = 120) -> None:
        """Until `condition` holds; fails where the program ends or the time is over before that."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"not within {seconds} s:\n{self.log}"
            time.sleep(0.05)

    def has_begun(self) -> bool:
        """Whether a heartbeat of this very process is there."""
        found = read_heartbeat(self.state)
        return found is not None and found.pid == self.process.pid

    def has_stored_something(self) -> bool:
        """Whether this very process has finished a batch."""
        return self.has_begun() and self.heartbeat.records > 0

    def end(self, seconds: float = 120) -> int:
        """The exit code."""
        return self.process.wait(seconds)


@dataclass(frozen=True)
class Launcher:
    """Starts the program with one environment."""

    environment: dict[str, str]
    state: Path
    started: list[Program]

    def start(self, *arguments: str, **environment: str) -> Program:
        log = self.state.parent / f"{self.state.name}-{len(self.started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "spark_streaming", *arguments],
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stderr=output,
                preexec_fn=_heed_signals,
            )
        self.started.append(Program(process, self.state, log))
        return self.started[-1]


def _heed_signals() -> None:
    # A background process of a shell that is not interactive ignores SIGINT, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def environment_of(stack: StackSettings, names: SourceNames, bucket: Bucket, jars: Path, state: Path) -> dict[str, str]:
    """What the program is given: as yahoo, whose names have no suffix, it takes any topic and bucket."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ},
        "SOURCE": "yahoo",
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka_address,
        "STOCK_PRICE_KAFKA_TOPIC": names.topic,
        "INFLUXDB_URL": bucket.url,
        "INFLUX_ORG": bucket.org,
        "INFLUX_TOKEN": bucket.write_token,
        "INFLUXDB_BUCKET": bucket.name,
        "SPARK_JARS": str(jars),
        "SPARK_CLASS_ARCHIVE": str(spark.class_archive(stack)),
        "STREAM_STATE": str(state),
    }


@pytest.fixture
def launcher(
    stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket, connector_jars: Path, tmp_path: Path
) -> Iterator[Launcher]:
    """Starts the program on a separate topic and bucket, as often as the test wants; all are ended after it."""
    state = tmp_path / "a stäte of 株"
    made = Launcher(environment_of(stack, fresh_topic, fresh_bucket, connector_jars, state), state, [])
    yield made
    for program in made.started:
        with suppress(ProcessLookupError):
            program.process.kill()
        program.process.wait()
