"""supervisord's configuration, its API, and the states of the services."""

import configparser
import io
import os
import shlex
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from infra.supervise.service import Service, launcher_command

# A service that dies within so many seconds is started again after a pause, a second longer each time; five such deaths
# in a row, which is five in about a minute, and it is given up. One that has run longer is restarted at once.
START_SECONDS, START_TRIES = 12, 5
_RUNS_AFTER_SECONDS = 1  # shown as running from then on: supervisord reports "starting" for all the twelve seconds


@dataclass(frozen=True)
class Status:
    """supervisord's state of a service."""

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
        parser["supervisord"]["user"] = "root"  # explicit, so that it doesn't warn
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    services = list(services)
    level_of = {name: number for number, level in enumerate(levels(services)) for name in level}
    for service in services:
        parser[f"program:{service.name}"] = {
            "priority": str(level_of[service.name]),  # ended by a signal, supervisord stops the highest first
            "command": _plain(shlex.join(launcher_command(f"run/{service.name}.json"))),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": str(START_SECONDS),
            "startretries": str(START_TRIES),
            "stopsignal": service.stop_signal.name.removeprefix("SIG"),
            "stopwaitsecs": str(service.stop_seconds),
            # A service, or its launcher, stops its own children; SIGKILL goes to all of the group.
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


def levels(services: Iterable[Service]) -> list[list[str]]:
    """Return the services' names in levels, each after those that it needs; those of a level can start together."""
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
    """Return the state of every service of the supervisord behind `socket`.

    Raises:
        OSError: nobody answers there.
    """
    return [
        Status(i["name"], _state(i), i["pid"], i["start"], i["spawnerr"] or i["description"])
        for i in api(socket).getAllProcessInfo()
    ]


def _state(info: Mapping[str, Any]) -> str:
    has_come_up = info["statename"] == "STARTING" and info["now"] - info["start"] > _RUNS_AFTER_SECONDS
    return "RUNNING" if has_come_up else str(info["statename"])


def is_supervisor_of(command: Iterable[str], directory: str, home: str) -> bool:
    """Return whether a process with this command and working directory is the supervisord of a state folder."""
    return "supervisor.supervisord" in command and directory == home


def supervisor_of(home: Path) -> psutil.Process | None:
    """Return the supervisord that works for a state folder, if there is one."""
    try:
        process = psutil.Process(int((home / "run" / "supervisord.pid").read_text()))
        return process if is_supervisor_of(process.cmdline(), process.cwd(), str(home.resolve())) else None
    except (OSError, ValueError, psutil.Error):
        return None


def api(socket: Path) -> Any:  # noqa: ANN401 - an XML-RPC proxy has the methods that the server has
    """supervisord's API; one for each thread."""
    transport = SupervisorTransport(None, None, serverurl=f"unix://{socket}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport, allow_none=True).supervisor


def _plain(value: str) -> str:
    return value.replace("%", "%%")
