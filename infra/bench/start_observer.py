"""Watches one start of the platform from outside: processes, ports, heartbeats, Dagster's records, the first point."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import psutil

from infra.host import secrets
from infra.host.errors import Exit, StackError
from infra.host.ports import accepts_connections
from infra.host.secrets import Secrets
from infra.settings import HOST, StackSettings
from spark_streaming.contract.heartbeat import Heartbeat, ProgramState, read_heartbeat
from spark_streaming.contract.influxdb_reader import InfluxDBReader, InfluxDBReadError
from spark_streaming.contract.schema import MEASUREMENT, Source, source_names
from stock_assets.dagster_internals import ticks_of_running

SOURCE = Source.SIMULATED
TIMEOUT_SECONDS = 300
POLL_SECONDS = 0.1
_PROCESSES_SECONDS = 0.5  # to list processes takes milliseconds of CPU, and their start is on record

# Part of a command line -> the part of the platform. The first that fits counts.
_PARTS = {
    "child_launcher.py": "launchers",
    "supervisor.supervisord": "supervisord",
    "StorageTool": "Kafka: format",
    "kafka.Kafka": "Kafka",
    "influxd": "InfluxDB",
    "postgres": "PostgreSQL",
    "stock_assets.code_server": "code server and runs",
    "multiprocessing": "code server and runs",
    "dagster._daemon": "daemon",
    "dagster_webserver": "webserver",
    "stock_assets.ingest": "producer",
    "org.apache.spark": "Spark's JVM",
    "spark_streaming": "stream",
    "pyspark": "stream",
    "infra.cli.main": "stocks up",
}
_LISTENERS = {
    "Kafka": "KAFKA_PORT",
    "InfluxDB": "INFLUXDB_PORT",
    "PostgreSQL": "POSTGRES_PORT",
    "code server": "DAGSTER_CODE_PORT",
    "webserver": "DAGSTER_PORT",
}


@dataclass
class Start:
    """One start: event -> seconds after the command; part -> CPU seconds until the first point; memory (PSS) in MB."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    memory_mb: float = 0

    def note(self, event: str, seconds: float) -> None:
        """Note an event where it has not happened before."""
        self.seconds.setdefault(event, seconds)


class Observer:
    """Watches one `stocks up` from its start to the first point that a query finds."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home, self.environment, self.start = home, environment, Start()
        self.began = datetime.now(UTC)
        words = ("up", "--source", SOURCE.value, "--symbols", "AAPL", "--json")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infra.cli.main", *words],
            cwd=home, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._errors: list[str] = []
        self._parts: dict[int, tuple[str, psutil.Process]] = {}
        self._cpu: dict[int, float] = {}  # of processes that have ended, too
        for read in (self._read_answer, self._read_steps):
            threading.Thread(target=read, daemon=True).start()

    def heartbeat(self, program: str) -> Heartbeat | None:
        """Return the heartbeat that a program of this start has written; None where there is none yet."""
        found = read_heartbeat(self.home / "state" / SOURCE.value / program)
        return found if found and found.started_at >= self.began else None

    def wait(self, is_over: Callable[[], bool]) -> float:
        """Wait, and return the seconds that it took."""
        begin = time.monotonic()
        while not is_over():
            if self.process.poll() is not None:
                raise StackError(f"the measured platform ended:\n{''.join(self._errors)}", Exit.SERVICE_FAILED)
            if time.monotonic() - begin > TIMEOUT_SECONDS:
                raise StackError(f"nothing was stored within {TIMEOUT_SECONDS} s", Exit.SERVICE_FAILED)
            time.sleep(POLL_SECONDS)
        return time.monotonic() - begin

    def observe(self) -> None:
        """Note all events until the table is printed and the first point of this start can be queried."""
        listed = 0.0

        def is_over() -> bool:
            nonlocal listed
            self._note_listeners()
            self._note_programs()
            if time.monotonic() - listed > _PROCESSES_SECONDS:
                listed = time.monotonic()
                self._note_processes()
            return {"table", "first point queryable"} <= self.start.seconds.keys()

        self.wait(is_over)
        self._note_processes()
        self.start.memory_mb = sum(_memory(process) for _, process in self._parts.values())
        self._note_orchestration()

    def _since(self, moment: datetime) -> float:
        return (moment - self.began).total_seconds()

    def _now(self) -> float:
        return self._since(datetime.now(UTC))

    def _read_answer(self) -> None:
        assert self.process.stdout is not None
        if self.process.stdout.readline():
            self.start.note("table", self._now())

    def _read_steps(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    def _note_listeners(self) -> None:
        for name, setting in _LISTENERS.items():
            if f"{name}: ready" not in self.start.seconds and accepts_connections(HOST, int(self.environment[setting])):
                self.start.note(f"{name}: ready", self._now())

    def _note_programs(self) -> None:
        for program, role in (("ingest", "producer"), ("stream", "stream")):
            if (found := self.heartbeat(program)) is None:
                continue
            self.start.note(f"{role}: program begins", self._since(found.started_at))
            if found.state is ProgramState.RUNNING:
                self.start.note(f"{role}: runs", self._now())
            if found.records:
                self.start.note(f"{role}: first records", self._now())
        # A home that was used has points of before: this start's are those of the stream's first batch.
        stream = self.heartbeat("stream")
        if stream and stream.records and "first point queryable" not in self.start.seconds and self._has_point(stream):
            self.start.note("first point queryable", self._now())

    def _has_point(self, stream: Heartbeat) -> bool:
        token = Secrets(self.home).read(secrets.INFLUX_READ_TOKEN, SOURCE)
        if token is None or stream.newest_event is None:
            return False
        url = f"http://{HOST}:{self.environment['INFLUXDB_PORT']}"
        reader = InfluxDBReader(url, StackSettings().influx_org, token, attempts=1)
        flux = (
            f'from(bucket: "{source_names(SOURCE).bucket}") |> range(start: -1h) '
            f'|> filter(fn: (r) => r._measurement == "{MEASUREMENT}" and r._field == "close") |> last()'
        )
        with suppress(InfluxDBReadError):
            return any(True for _ in reader.rows(flux))
        return False

    def _note_processes(self) -> None:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    self._note_process(process)
        self.start.cpu = {}
        for part, process in self._parts.values():
            self.start.cpu[part] = self.start.cpu.get(part, 0) + self._cpu[process.pid]
        self.start.cpu["everything"] = sum(self.start.cpu.values())

    def _note_process(self, process: psutil.Process) -> None:
        line = " ".join(process.cmdline())
        part = next((part for words, part in _PARTS.items() if words in line), "other programs")
        times = process.cpu_times()
        self._parts[process.pid] = (part, process)  # a launcher becomes the program
        self._cpu[process.pid] = times.user + times.system
        if part in ("Kafka", "Spark's JVM", "producer", "stream", "daemon", "webserver", "InfluxDB", "PostgreSQL"):
            self.start.note(f"{part}: process", process.create_time() - self.began.timestamp())

    def _note_orchestration(self) -> None:
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            ticks = ticks_of_running(instance, since=self.began).get("sensor:run_programs", [])
            if ticks:
                self.start.note("first tick: begins", self._since(ticks[-1].began_at))
                self.start.note("first tick: ends", self._since(ticks[-1].ended_at))
            for record in reversed(instance.get_run_records(dg.RunsFilter(created_after=self.began))):
                job = record.dagster_run.job_name
                self.start.note(f"run of {job}: created", self._since(record.create_timestamp))
                if record.start_time:
                    self.start.note(f"run of {job}: started", record.start_time - self.began.timestamp())


def _memory(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return float(getattr(full, "pss", full.uss)) / 2**20  # only Linux has PSS
