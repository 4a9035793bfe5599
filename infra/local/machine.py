"""What this machine must have before the stack can run: what is missing, and the command that installs it."""

import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local import influxdb, influxdb_build, tools
from infra.local.errors import Exit, StackError
from infra.settings import HOST, StackSettings

_FREE_BYTES = 2 * 2**30

# The command that installs a thing, by the family of the system. Where packages are too old the vendor's page is named.
_INSTALL: Mapping[str, Mapping[str, str]] = {
    "java": {
        "debian": "apt-get install default-jre-headless",
        "ubuntu": "apt-get install openjdk-21-jre-headless",
        "fedora": "dnf install java-21-openjdk-headless",
        "macos": "brew install openjdk@21",
    },
    "influxd": {
        "debian": "apt-get install influxdb2, from InfluxData's repository: docs.influxdata.com/influxdb/v2/install",
        "ubuntu": "apt-get install influxdb2, from InfluxData's repository: docs.influxdata.com/influxdb/v2/install",
        "fedora": "dnf install influxdb2, from InfluxData's repository: docs.influxdata.com/influxdb/v2/install",
        "macos": "brew install influxdb@2",
    },
    "build": {
        "debian": "apt-get install golang-go cargo gcc pkg-config (Go 1.23 or newer: else go.dev/dl and rustup.rs)",
        "ubuntu": "apt-get install golang-1.23-go cargo gcc pkg-config (older releases: go.dev/dl and rustup.rs)",
        "fedora": "dnf install golang cargo gcc pkgconf-pkg-config",
        "macos": "brew install go rust pkg-config",
    },
}
_WHERE = {"java": "adoptium.net", "influxd": "docs.influxdata.com/influxdb/v2/install", "build": "go.dev/dl, rustup.rs"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    code: Exit = Exit.FAILED


def findings(settings: StackSettings, *, with_dagster: bool = True) -> list[Finding]:
    """Everything that `stocks up` needs of the machine, in the order in which it needs it."""
    return [_java(), _influxdb(settings), _home(settings), *_ports(settings, with_dagster)]


def demand(found: list[Finding]) -> None:
    """Go on only where nothing is missing.

    Raises:
        StackError: with every problem and its remedy, and the exit code of the first.
    """
    missing = [finding for finding in found if not finding.ok]
    if missing:
        text = "\n".join(f"{f.name}: {f.detail}. {f.remedy}" for f in missing)
        raise StackError(text, missing[0].code)


def install_command(thing: str, system: str, *, as_root: bool) -> str:
    """How `thing` (java, influxd, build) is installed on a system (debian, ubuntu, fedora, macos, or another)."""
    command = _INSTALL[thing].get(system)
    if command is None:
        return f"See {_WHERE[thing]}."
    sudo = "" if as_root or system == "macos" else "sudo "
    return f"Install it: {sudo}{command}"


def system_name(release: Mapping[str, str], platform_name: str = sys.platform) -> str:
    """The family of a system, from what /etc/os-release says."""
    if platform_name == "darwin":
        return "macos"
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((name for name in names if name in ("ubuntu", "debian", "fedora")), "other")


def _remedy(thing: str) -> str:
    try:
        release = platform.freedesktop_os_release() if sys.platform == "linux" else {}
    except OSError:
        release = {}
    return install_command(thing, system_name(release), as_root=os.geteuid() == 0)


def _java() -> Finding:
    path = tools.find_java()
    if path is None:
        return Finding("Java", False, "not found in JAVA_HOME nor on PATH", _remedy("java"), Exit.MISSING_TOOL)
    version = tools.java_version(path)
    if version in tools.JAVA_VERSIONS:
        return Finding("Java", True, f"{version}, {path}")
    detail = f"{path} is version {version or 'unknown'}, and 17 or 21 is needed"
    return Finding("Java", False, detail, f"{_remedy('java')}, or set JAVA_HOME.", Exit.MISSING_TOOL)


def _influxdb(settings: StackSettings) -> Finding:
    if not settings.runs_influxdb:
        url = settings.influxdb_url
        if influxdb.is_healthy(url):
            return Finding("InfluxDB", True, f"{url}, as INFLUXDB_URL says")
        remedy = "Start it, or unset INFLUXDB_URL to have one of the stack's own."
        return Finding("InfluxDB", False, f"no healthy InfluxDB 2 answers at INFLUXDB_URL={url}", remedy)
    if path := influxdb_build.installed():
        return Finding("InfluxDB", True, path)
    cached = influxdb_build.cached(settings.stocks_cache)
    if cached.exists():
        return Finding("InfluxDB", True, f"built, {cached}")
    missing = influxdb_build.missing_tools()
    if not missing:
        return Finding("InfluxDB", True, "influxd is not on PATH; it will be built once, in some 6 minutes")
    remedy = f"{_remedy('influxd')}. Or have it built once. {_remedy('build')}"
    detail = f"influxd is not on PATH, and {', '.join(missing)} to build it is missing"
    return Finding("InfluxDB", False, detail, remedy, Exit.MISSING_TOOL)


def _home(settings: StackSettings) -> Finding:
    for name, folder in (("STOCKS_HOME", settings.stocks_home), ("STOCKS_CACHE", settings.stocks_cache)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                free = shutil.disk_usage(folder).free
        except OSError as error:
            remedy = f"Set {name} to a folder that you may write to."
            return Finding(name, False, f"{folder} can't be written to: {error.strerror}", remedy, Exit.HOME_UNUSABLE)
        if free < _FREE_BYTES:
            detail = f"{folder} has {free / 2**30:.1f} GiB free, and {_FREE_BYTES / 2**30:.0f} GiB are needed"
            return Finding(name, False, detail, f"Make room, or set {name} to another disk.", Exit.HOME_UNUSABLE)
    return Finding("STOCKS_HOME", True, str(settings.stocks_home))


def _ports(settings: StackSettings, with_dagster: bool) -> list[Finding]:
    wanted = {"KAFKA_PORT": settings.kafka_port, "KAFKA_CONTROLLER_PORT": settings.kafka_controller_port}
    if settings.runs_influxdb:
        wanted["INFLUXDB_PORT"] = settings.influxdb_port
    wanted["POSTGRES_PORT"] = settings.postgres_port
    if with_dagster:
        wanted |= {"DAGSTER_PORT": settings.dagster_port, "DAGSTER_CODE_PORT": settings.dagster_code_port}
    return judge_ports(wanted, port_is_free, port_owner)


def judge_ports(
    wanted: Mapping[str, int], is_free: Callable[[int], bool], owner_of: Callable[[int], str]
) -> list[Finding]:
    """A finding for each port (setting -> port): free, taken and by whom, or wanted twice."""
    found, seen = [], dict[int, str]()
    for setting, port in wanted.items():
        name, remedy = f"port {port}", f"End that, or set {setting} to another port."
        if port in seen:
            detail = f"{setting} and {seen[port]} both name it"
            found.append(Finding(name, False, detail, f"Set {setting} to another port.", Exit.PORT_TAKEN))
        elif is_free(port):
            found.append(Finding(name, True, f"free ({setting})"))
        else:
            found.append(Finding(name, False, f"in use by {owner_of(port)}", remedy, Exit.PORT_TAKEN))
        seen.setdefault(port, setting)
    return found


def port_is_free(port: int) -> bool:
    """Whether a server of ours could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def port_owner(port: int) -> str:
    """Who has it, as far as this user may know: "influxd (pid 4711)"."""
    holder = _holder(port)
    try:
        return f"{holder.name()} (pid {holder.pid})" if holder else "another program"
    except psutil.Error:
        return "another program"


def is_held_for(home: Path, port: int) -> bool:
    """Whether the one who has it is a server of the state folder `home`."""
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
