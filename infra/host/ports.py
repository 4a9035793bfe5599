"""Ports of this machine: which are free, and which program uses the others."""

import socket
from contextlib import ExitStack
from pathlib import Path

import psutil

from infra.settings import HOST


def port_is_free(port: int) -> bool:
    """Return whether a server of the stack could listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nothing listens now."""
    with ExitStack() as stack:  # all are open at once, so that none is returned twice
        held = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


def port_owner(port: int) -> str:
    """Return the program that uses a port, as "influxd (pid 4711)"; "another program" if this user can't see it."""
    holder = _holder(port)
    try:
        return f"{holder.name()} (pid {holder.pid})" if holder else "another program"
    except psutil.Error:
        return "another program"


def is_used_by_home(home: Path, port: int) -> bool:
    """Return whether the program that uses the port is a server of `home`; False if this user can't see it."""
    holder = _holder(port)
    try:
        return holder is not None and any(str(home) in part for part in holder.cmdline())
    except psutil.Error:
        return False


def _holder(port: int) -> psutil.Process | None:
    try:
        found = [c for c in psutil.net_connections("tcp") if c.pid and c.laddr and c.laddr.port == port]
        # A server first; but the near end of anyone's connection keeps a port too.
        found.sort(key=lambda connection: connection.status != psutil.CONN_LISTEN)
        return psutil.Process(found[0].pid) if found else None
    except (psutil.Error, OSError):  # macOS asks for root
        return None


def accepts_connections(host: str, port: int) -> bool:
    """Return whether something listens on that port; waits a second at most."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
