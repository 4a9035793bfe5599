"""Process control, by supervisord: it starts, restarts and stops the servers and rotates their logs.

It ends with the process that started it, and the servers end with it, whatever kills either.
"""

import hashlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil

from infra.host.errors import Exit, StackError, StoppedError, last_lines
from infra.host.private_files import private_folder, write_private
from infra.settings import service_environment
from infra.supervise.service import Service, launch_spec, launcher_command, service_launch_spec
from infra.supervise.supervisord import Status, api, configuration, levels, statuses

_SOCKET = "supervisor.sock"
_LONGEST_SOCKET = 92  # of 104 bytes on macOS and 108 on Linux; supervisord binds one with its pid behind the name


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
        """The socket of supervisord's API."""
        if self._folder is None:
            raise RuntimeError("supervisord has not been started")
        return self._folder / _SOCKET

    def start(self) -> None:
        """Start supervisord itself, and none of the services.

        Raises:
            StackError: it ended at once.
        """
        for folder in ("run", "logs"):
            private_folder(self.home / folder)
        self._folder = socket_folder(self.home)
        # Relative where it can be: a path with " ;" in it would end there.
        socket = self.socket.relative_to(self.home) if self.socket.is_relative_to(self.home) else self.socket
        write_private(self.home / "run" / "supervisord.conf", configuration(self.services.values(), socket))
        command = (sys.executable, "-m", "supervisor.supervisord", "-c", "run/supervisord.conf")
        spec = launch_spec(command, service_environment(), self.home)
        with (self.home / "logs" / "supervisord.out").open("wb") as output:
            self._process = subprocess.Popen(
                # In its own session, so that Ctrl-C reaches `stocks up` alone, which then stops things in order.
                launcher_command(spec), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
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
        run = self.home / "run"
        write_private(run / f"{name}.json", service_launch_spec(service, self.pid, run / f"{name}.lock"))
        rpc = api(self.socket)
        if rpc.getProcessInfo(name)["statename"] not in ("RUNNING", "STARTING"):
            rpc.startProcess(name, False)
        end = time.monotonic() + service.ready_seconds
        while not service.ready():
            if self.stop_requested.is_set():
                raise StoppedError(f"{name} was stopped")
            info = rpc.getProcessInfo(name)
            if info["statename"] in ("FATAL", "EXITED", "STOPPED") or time.monotonic() > end:
                reason = info["spawnerr"] or info["description"] or f"not ready after {service.ready_seconds} s"
                end_of_log = f"the end of {service.log}:\n{last_lines(service.log)}"
                raise StackError(f"{name} did not start ({reason}); {end_of_log}", Exit.SERVICE_FAILED)
            time.sleep(0.1)

    def statuses(self) -> list[Status]:
        """Return the state of every service; also record the processes below supervisord, which a stop must end."""
        self._note_descendants()
        return statuses(self.socket)

    def stop_services(self, stopped: Callable[[str, float], None] = lambda name, seconds: None) -> None:
        """Stop all services, each after those that need it; `stopped` gets the name and the seconds that it took."""
        self._note_descendants()
        for level in reversed(levels(self.services.values())):
            with ThreadPoolExecutor(len(level)) as pool:
                for name in level:
                    pool.submit(self._stop_service, name, stopped)

    def _stop_service(self, name: str, stopped: Callable[[str, float], None]) -> None:
        rpc, began = api(self.socket), time.monotonic()
        with suppress(OSError, xmlrpc.client.Error):  # supervisord may have ended by now, and the services with it
            if rpc.getProcessInfo(name)["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
                rpc.stopProcess(name, True)
                stopped(name, time.monotonic() - began)

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
        self.socket.unlink(missing_ok=True)
        if self._folder not in (None, self.home / "run"):
            self.socket.parent.rmdir()

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


def socket_folder(home: Path) -> Path:
    """`run` of the home; where that is too long for a socket, a temporary folder, the same one at each start.

    Raises:
        StackError: that folder belongs to someone else, or is open to others.
    """
    if len(os.fsencode(home / "run" / _SOCKET)) <= _LONGEST_SOCKET:
        return home / "run"
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    folder = private_folder(Path(tempfile.gettempdir()) / f"stocks-{name}")
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StackError(f"{folder} must be a folder that is yours alone: remove it, or set TMPDIR to another place.")
    return folder


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
