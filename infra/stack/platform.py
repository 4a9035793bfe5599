"""The whole platform in the foreground: it is started, watched, and stopped in order."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from types import FrameType

from kafka.errors import KafkaError

from infra.grafana.values import write_container_files
from infra.host import disk, logs, secrets
from infra.host.clock import Clock, steady_time
from infra.host.errors import Exit, StackError, StoppedError, last_lines
from infra.host.ports import is_used_by_home
from infra.host.private_files import private_folder
from infra.host.progress import Progress
from infra.host.secrets import Secrets
from infra.servers import dagster, jars, kafka, spark
from infra.settings import StackSettings
from infra.stack import state, storage_metrics
from infra.stack.servers import Servers
from infra.supervise.service import launch_spec, launcher_command
from infra.supervise.supervisord import Status, supervisor_of
from infra.supervise.watchdog import Watchdog

_ARCHIVES_AFTER_SECONDS = 60  # the first bars come first
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Platform:
    """Servers and Dagster of one state folder. Use it in the main thread, in a `with`: leaving it stops everything."""

    def __init__(self, settings: StackSettings, progress: Progress, *, with_dagster: bool = True) -> None:
        self.settings, self.progress, self.with_dagster = settings, progress, with_dagster
        self.servers = Servers(settings, progress, dagster.services(settings) if with_dagster else ())
        self.interrupted = threading.Event()
        self._supervisor = self.servers.supervisor
        self._watchdog, self._clock, self._disk_space, self._log_cleanup = (
            Watchdog(),
            Clock(),
            disk.FreeSpace(),
            logs.LogCleanup(),
        )
        self._archives = threading.Thread(target=self._make_class_archives, daemon=True)
        self._storage_metrics = storage_metrics.StorageMetrics()
        self._phase, self._message = state.Phase.STARTING, ""

    def __enter__(self) -> "Platform":
        for number in _SIGNALS:
            signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> state.RunningStack:
        """The state of this `stocks up`, which other commands read."""
        services = self._supervisor.services.values()
        return state.RunningStack(
            pid=os.getpid(),
            phase=self._phase,
            source=self.settings.source.value,
            socket=str(self._supervisor.socket) if self._supervisor.pid else "",
            ui=dagster.ui_address(self.settings) if self.with_dagster else "",
            services=tuple(state.ListedService(s.name, s.address, str(s.log)) for s in services),
            message=self._message,
            restarts=self._watchdog.restarts,
        )

    def write_state(self, phase: state.Phase, message: str = "") -> None:
        """Write the phase, and the reason of a failure, for `stocks status` and `stocks down`."""
        self._phase, self._message = phase, message
        with suppress(OSError):  # a full disk must not keep anything from being stopped
            state.write(self.settings.stocks_home, self.running)

    def start(self, migrate: Callable[[], None]) -> None:
        """Bring everything up, side by side where it can be; `migrate` makes the tables once PostgreSQL is there.

        Raises:
            StackError: something could not be brought up.
            StoppedError: a signal came.
        """
        dagster_first = self.with_dagster and self._code_server_can_start()
        dagster.prepare(self.settings)  # for `dagster dev` too
        self._supervisor.start()
        self.write_state(state.Phase.STARTING)
        only = [self.settings.source]
        with ThreadPoolExecutor(8) as pool:

            def postgres_and_tables() -> None:
                self.servers.bring_up_postgres(only)
                migrate()

            def influxdb_and_code_server() -> None:
                self.servers.bring_up_influxdb(only)
                if self.with_dagster and not dagster_first:  # its tokens are there now
                    self._start_dagster(dagster.CODE_SERVER)

            work: list[Future[object]] = []
            if dagster_first:
                work.append(pool.submit(self._start_dagster, dagster.CODE_SERVER))
            work += [
                pool.submit(self.servers.bring_up_kafka, only),
                pool.submit(influxdb_and_code_server),
                pool.submit(postgres_and_tables),
                pool.submit(self._connector),
            ]
            self._finish(work)
        if self.with_dagster:
            with ThreadPoolExecutor(1) as pool:
                self._finish([pool.submit(self._start_the_rest_of_dagster)])
        write_container_files(self.settings, private_folder(self.settings.stocks_home / "grafana"))
        self.write_state(state.Phase.READY)
        self._archives.start()

    def watch(self, done: Callable[[], bool] = lambda: False) -> None:
        """Return once `done`, or once a signal has arrived; meanwhile report each service that died.

        Raises:
            StackError: a service can't be kept alive, or the disk is almost full.
        """
        while not self.interrupted.wait(0.2 if done() else 1.0) and not done():
            for line in self._check_services():
                self.progress.line(line)
            self._log_cleanup.run_if_due(self.settings.stocks_home, time.time())
            self._storage_metrics.write_if_due(self.settings, time.time())

    def run(self, module: str, *arguments: str) -> int:
        """Run a program of the platform while the servers run, in Dagster's environment, and return its exit code.

        Raises:
            StackError: a service died for good meanwhile.
        """
        command = (sys.executable, "-m", module, *arguments)
        spec = launch_spec(command, dagster.environment(self.settings), dagster.working_directory())
        with subprocess.Popen(launcher_command(spec), stdin=subprocess.DEVNULL) as process:
            try:
                self.watch(lambda: process.poll() is not None)
            finally:
                if process.poll() is None:
                    process.terminate()
            return process.wait()

    def statuses(self) -> list[Status]:
        """Return the state of every service, in the order in which they are started."""
        return self._supervisor.statuses()

    def stop(self) -> None:
        """Stop everything in order; nothing is left."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # once is enough
        self._supervisor.stop_requested.set()
        if self._supervisor.is_alive:
            self.write_state(state.Phase.STOPPING)
            self.progress.line("stopping; the programs finish what they have begun")
            self._supervisor.stop_services(lambda name, took: self.progress.line(f"{name} stopped in {took:.1f} s"))
        self._supervisor.stop()

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        self.interrupted.set()
        self._supervisor.stop_requested.set()

    def _code_server_can_start(self) -> bool:
        """Its settings hold the tokens: on the first start those have to be made before."""
        keep = Secrets(self.settings.stocks_home)
        names = (secrets.INFLUX_TOKEN, secrets.INFLUX_READ_TOKEN)
        return all(keep.read(name, self.settings.source) for name in names)

    def _connector(self) -> None:
        if self.settings.spark_jars is not None:
            return
        jars.resolve(jars.CONNECTOR, self.settings.stocks_cache, self.progress, self._supervisor.stop_requested)

    def _make_class_archives(self) -> None:
        """Make what halves the CPU of the next start; a stop gives it up, and a later start makes it."""
        if self._supervisor.stop_requested.wait(_ARCHIVES_AFTER_SECONDS):
            return
        try:
            kafka.make_class_archive(self.settings, self._supervisor.stop_requested)
            spark.make_class_archive(self.settings, self._supervisor.stop_requested)
        except StoppedError:
            return
        except (StackError, OSError, KafkaError) as error:
            self.progress.line(f"{error}\nThe next start takes as long as this one; nothing else needs it.")

    def _start_dagster(self, name: str) -> None:
        with self.progress.step(f"starting {name}"):
            self._supervisor.start_service(name)

    def _start_the_rest_of_dagster(self) -> None:
        for name in dagster.NAMES:  # the code server first, if it doesn't run yet
            self._start_dagster(name)

    def _finish(self, work: list[Future[object]]) -> None:
        left = set(work)
        while left:
            done, left = wait(left, timeout=0.2, return_when=FIRST_EXCEPTION)
            if self.interrupted.is_set() or any(future.exception() for future in done):
                self._supervisor.stop_requested.set()
                wait(left)
                break
        errors = [error for future in work if (error := future.exception())]
        if self.interrupted.is_set():
            raise StoppedError("stopped while starting")
        for error in sorted(errors, key=lambda error: isinstance(error, StoppedError)):
            raise error

    def _check_services(self) -> list[str]:
        if not self._supervisor.is_alive:
            raise StackError("supervisord was killed, and the services with it", Exit.SERVICE_FAILED)
        home, free = self.settings.stocks_home, disk.free_bytes(self.settings.stocks_home)
        if free < disk.STOP_BELOW:  # in order, before the servers die of it
            raise StackError(
                f"the disk of {home} has {disk.format_size(free)} left, so everything was stopped; nothing is lost. "
                f"Make room ({disk.format_size(disk.NEEDED_TO_START)} at least) and start again.", Exit.DISK_FULL,
            )  # fmt: skip
        statuses, now = self._supervisor.statuses(), time.monotonic()
        died = self._watchdog.update(statuses, now)
        if name := self._watchdog.given_up(statuses, now):
            log = self._supervisor.services[name].log
            raise StackError(f"{name} can't be kept alive; the end of {log}:\n{last_lines(log)}", Exit.SERVICE_FAILED)
        if died:
            self.write_state(self._phase)
        return [*died, *filter(None, (self._disk_space.update(free), self._clock.update(time.time(), steady_time())))]


def wait_for_predecessor(settings: StackSettings, progress: Progress, seconds: float = 60) -> None:
    """Let the servers of a `stocks up` that was killed finish their own end, before their ports are asked for."""
    ports = [settings.kafka_port, settings.kafka_controller_port, settings.influxdb_port, settings.postgres_port,
             settings.dagster_code_port, settings.dagster_port]  # fmt: skip
    home, end = settings.stocks_home, time.monotonic() + seconds
    with progress.step("waiting for the servers of the last run to end"):
        while time.monotonic() < end and (supervisor_of(home) or any(is_used_by_home(home, port) for port in ports)):
            time.sleep(0.2)
