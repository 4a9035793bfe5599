"""Process control, by supervisord: it starts, restarts and stops the servers and rotates their logs.

It ends with the process that started it, and the servers end with it, whatever kills either.
"""

import configparser
import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from infra.local.errors import Exit, StackError, last_lines
from infra.local.service import Service, guard_command, guarded, private_folder, spec_of, write_private
from infra.local.tools import StoppedError
from infra.settings import service_environment

# Seconds that a server must have been up for a start to count, and how often in a row one is tried.
START_SECONDS, START_TRIES = 1, 5


@dataclass(frozen=True)
class Status:
    """What supervisord says about a service."""

    name: str
    state: str  # STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL UNKNOWN
    pid: int  # 0 where there is none
    started: int  # seconds since 1970
    detail: str


def configuration(services: Iterable[Service], socket: Path) -> str:
    """supervisord's configuration. Paths of the state folder are relative to it, which is where supervisord runs."""
    parser = configparser.RawConfigParser()
    parser["unix_http_server"] = {"file": _plain(str(socket)), "chmod": "0600"}
    parser["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": "logs/supervisord.log",
        "logfile_maxbytes": "5MB",
        "logfile_backups": "2",
        "pidfile": "run/supervisord.pid",
        "childlogdir": "logs",
        "minfds": "1024",
    }
    if os.geteuid() == 0:
        parser["supervisord"]["user"] = "root"  # said on purpose, so that it doesn't warn
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    services = list(services)
    level_of = {name: number for number, level in enumerate(levels(services)) for name in level}
    for service in services:
        parser[f"program:{service.name}"] = {
            "priority": str(level_of[service.name]),  # ended by a signal, supervisord stops the highest first
            "command": _plain(shlex.join(guard_command(f"run/{service.name}.json"))),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": str(START_SECONDS),
            "startretries": str(START_TRIES),
            "stopsignal": service.stop_signal.name.removeprefix("SIG"),
            "stopwaitsecs": str(service.stop_seconds),
            # To stop its children is for a service itself, or its guard; killed they are all together.
            "stopasgroup": "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": f"logs/{service.log.name}",
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "3",
        }
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _plain(value: str) -> str:
    return value.replace("%", "%%")


class Supervisor:
    """supervisord for one state folder. Make it in the main thread: it ends with the thread that started it."""

    def __init__(self, home: Path, services: Sequence[Service]) -> None:
        self.home = home
        self.services = {service.name: service for service in services}
        self.stop_requested = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._descendants: dict[int, psutil.Process] = {}

    @property
    def socket(self) -> Path:
        """The socket of supervisord's API; in a short temporary folder, since its path may have 108 bytes."""
        if self._folder is None:
            raise RuntimeError("supervisord has not been started")
        return self._folder / "s"

    def start(self) -> None:
        """Start supervisord itself, and none of the services.

        Raises:
            StackError: it ended at once.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="stocks-"))
        for folder in ("run", "logs"):
            private_folder(self.home / folder)
        write_private(self.home / "run" / "supervisord.conf", configuration(self.services.values(), self.socket))
        command = (sys.executable, "-m", "supervisor.supervisord", "-c", "run/supervisord.conf")
        spec = guarded(command, service_environment(), self.home)
        with (self.home / "logs" / "supervisord.out").open("wb") as output:
            self._process = subprocess.Popen(
                # A session of its own, so that Ctrl-C reaches `stocks up` alone, which then stops things in order.
                guard_command(spec), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )  # fmt: skip
        end = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise StackError(
                    f"supervisord did not start:\n{last_lines(self.home / 'logs' / 'supervisord.out')}",
                    Exit.SERVICE_FAILED,
                )
            time.sleep(0.05)

    @property
    def is_alive(self) -> bool:
        """Whether supervisord itself runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of supervisord."""
        return self._process.pid if self._process else 0

    def start_service(self, name: str) -> None:
        """Start a service and wait until it is ready; safe for threads.

        Raises:
            StackError: it died, or was not ready in time; the message has its last log lines.
            StoppedError: a stop was requested meanwhile.
        """
        service = self.services[name]
        write_private(self.home / "run" / f"{name}.json", spec_of(service))
        rpc = api(self.socket)
        if rpc.getProcessInfo(name)["statename"] not in ("RUNNING", "STARTING"):
            rpc.startProcess(name, False)
        end = time.monotonic() + service.ready_seconds
        while not service.ready():
            if self.stop_requested.is_set():
                raise StoppedError(f"{name} was stopped")
            info = rpc.getProcessInfo(name)
            if info["statename"] in ("FATAL", "EXITED", "STOPPED") or time.monotonic() > end:
                why = info["spawnerr"] or info["description"] or f"not ready after {service.ready_seconds} s"
                raise StackError(f"{name} did not start ({why}); the end of {service.log}:\n{last_lines(service.log)}",
                                 Exit.SERVICE_FAILED)  # fmt: skip
            time.sleep(0.1)

    def statuses(self) -> list[Status]:
        """The state of every service; also notes what runs below supervisord, so that a stop can ask after it."""
        self._note_descendants()
        return statuses(self.socket)

    def stop_services(self, told: Callable[[str, float], None] = lambda name, seconds: None) -> None:
        """Stop all services, each after those that need it; `told` hears the name and how long it took."""
        for level in reversed(levels(self.services.values())):
            with ThreadPoolExecutor(len(level)) as pool:
                for name in level:
                    pool.submit(self._stop_service, name, told)

    def _stop_service(self, name: str, told: Callable[[str, float], None]) -> None:
        rpc, began = api(self.socket), time.monotonic()
        with suppress(OSError, xmlrpc.client.Error):  # supervisord may be gone by now, and the services with it
            if rpc.getProcessInfo(name)["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
                rpc.stopProcess(name, True)
                told(name, time.monotonic() - began)

    def stop(self) -> None:
        """End supervisord and everything below it; no process is left. Services may be stopped one by one before."""
        self.stop_requested.set()
        if self._process is None:
            return
        self._note_descendants()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)  # it stops what still runs, the last of the list first
            try:
                self._process.wait(sum(service.stop_seconds for service in self.services.values()))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        end_processes(self._descendants.values())
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return bool(api(self.socket).getState())
        except (OSError, xmlrpc.client.Error):
            return False

    def _note_descendants(self) -> None:
        try:
            children = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        self._descendants |= {child.pid: child for child in children}


def levels(services: Iterable[Service]) -> list[list[str]]:
    """The names of the services, each in a level after those that it needs; a level can be started side by side."""
    left, order = {service.name: service for service in services}, list[list[str]]()
    while left:
        ready = [service.name for service in left.values() if not set(service.needs) & set(left)]
        if not ready:
            raise ValueError(f"{sorted(left)} need one another")
        order.append(ready)
        for name in ready:
            del left[name]
    return order


def statuses(socket: Path) -> list[Status]:
    """The state of every service of the supervisord behind `socket`.

    Raises:
        OSError: nobody answers there.
    """
    return [
        Status(i["name"], i["statename"], i["pid"], i["start"], i["spawnerr"] or i["description"])
        for i in api(socket).getAllProcessInfo()
    ]


def supervisor_of(home: Path) -> psutil.Process | None:
    """The supervisord that works for a state folder, if there is one."""
    try:
        process = psutil.Process(int((home / "run" / "supervisord.pid").read_text()))
        return process if "supervisor.supervisord" in process.cmdline() and process.cwd() == str(home) else None
    except (OSError, ValueError, psutil.Error):
        return None


def api(socket: Path) -> Any:  # noqa: ANN401 - an XML-RPC proxy has the methods that the server has
    """supervisord's API; one for each thread."""
    transport = SupervisorTransport(None, None, serverurl=f"unix://{socket}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport, allow_none=True).supervisor


def end_processes(processes: Iterable[psutil.Process], seconds: float = 5) -> None:
    """End what is left of these: politely, then by SIGKILL. A pid that was given to another program is left alone."""
    left = [process for process in processes if process.is_running()]
    for process in left:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, left = psutil.wait_procs(left, timeout=seconds)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=seconds)
