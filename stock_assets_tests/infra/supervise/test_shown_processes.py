"""Every process that `stocks status` shows may be killed: what it had started ends, and its place is taken once."""

from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from spark_streaming.contract.process_lock import is_locked
from stock_assets_tests.infra.terminal import Terminal, all_gone
from stock_assets_tests.services.waiting import until

pytestmark = [pytest.mark.services, pytest.mark.faults, pytest.mark.timeout(2_400)]


def test_a_killed_service_leaves_one_process_tree_and_one_listener(terminal: Terminal) -> None:
    code, _, err = terminal.run("up", "--source", "simulated", "-d")
    assert code == 0, err
    programs = [terminal.home / "state" / "simulated" / name for name in ("ingest", "stream")]
    try:
        until(lambda: any(map(is_locked, programs)), 300)  # the code server has runs now
        for name in services(terminal):
            kill_and_inspect(terminal, name)
    finally:
        supervised = terminal.processes()
        code, _, err = terminal.run("down")
    assert code == 0, err
    all_gone(supervised, 5)


def kill_and_inspect(terminal: Terminal, name: str) -> None:
    before = services(terminal)[name]
    shown = psutil.Process(before["pid"])
    tree = [shown, *shown.children(recursive=True)]
    shown.kill()
    until(lambda: services(terminal)[name]["pid"] not in (None, before["pid"]))
    all_gone(tree, 240)
    until(lambda: services(terminal)[name]["state"] == "running", 240)
    if (port := port_of(before["address"])) is not None:
        until(lambda: listeners(port), 240)
        now = psutil.Process(services(terminal)[name]["pid"])
        assert listeners(port) <= {now.pid, *(child.pid for child in now.children(recursive=True))}


def services(terminal: Terminal) -> dict[str, Any]:
    found: Any = terminal.status()["services"]
    return {service["name"]: service for service in found}


def port_of(address: str) -> int | None:
    return urlsplit(address if "//" in address else f"//{address}").port if address != "-" else None


def listeners(port: int) -> set[int]:
    """The processes that listen on a port: with SO_REUSEPORT there may be several."""
    return {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.pid
        and connection.laddr
        and connection.laddr.port == port
        and connection.status == psutil.CONN_LISTEN
    }
