"""Checks of the machine before a start: what is missing, and the command that installs it."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.host import clock, disk, home
from infra.host.errors import Exit, StackError
from infra.host.install_hints import install_hint
from infra.host.ports import port_is_free, port_owner
from infra.servers import influxdb_api, influxdb_build
from infra.settings import StackSettings
from infra.supervise import tools


@dataclass(frozen=True)
class Finding:
    """The result of one check of the machine."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    code: Exit = Exit.FAILED
    doubtful: bool = False  # a warning; the stack starts all the same


def check_machine(settings: StackSettings, *, with_dagster: bool = True) -> list[Finding]:
    """Return a finding for each thing that `stocks up` needs of the machine, in the order in which it needs them."""
    return [check_home(settings), _clock(settings), _java(), _influxdb(settings), *_ports(settings, with_dagster)]


def require_all(found: list[Finding]) -> None:
    """Return only where nothing is missing.

    Raises:
        StackError: with every problem and its remedy, and the exit code of the first.
    """
    missing = [finding for finding in found if not finding.ok]
    if missing:
        text = "\n".join(f"{f.name}: {f.detail}. {f.remedy}" for f in missing)
        raise StackError(text, missing[0].code)


def _java() -> Finding:
    path = tools.find_java()
    if path is None:
        return Finding("Java", False, "not found in JAVA_HOME nor on PATH", install_hint("java"), Exit.MISSING_TOOL)
    version = tools.java_version(path)
    if version in tools.JAVA_VERSIONS:
        return Finding("Java", True, f"{version}, {path}")
    detail = f"{path} is version {version or 'unknown'}, and 17 or 21 is needed"
    return Finding("Java", False, detail, f"{install_hint('java')}, or set JAVA_HOME.", Exit.MISSING_TOOL)


def _influxdb(settings: StackSettings) -> Finding:
    if not settings.runs_influxdb:
        url = settings.influxdb_url
        if influxdb_api.is_healthy(url):
            return Finding("InfluxDB", True, f"{url}, as INFLUXDB_URL says")
        remedy = "Start it, or unset INFLUXDB_URL to have one of the stack's own."
        detail = f"no healthy InfluxDB 2 answers at INFLUXDB_URL={url}"
        return Finding("InfluxDB", False, detail, remedy, Exit.INFLUXDB_UNUSABLE)
    if path := influxdb_build.installed():
        return Finding("InfluxDB", True, path)
    cached = influxdb_build.cached(settings.stocks_cache)
    if cached.exists():
        return Finding("InfluxDB", True, f"built, {cached}")
    missing = influxdb_build.missing_tools()
    if not missing:
        return Finding("InfluxDB", True, "influxd is not on PATH; it will be built once, in some 6 minutes")
    remedy = f"{install_hint('influxd')}. Or have it built once. {install_hint('build')}"
    detail = f"influxd is not on PATH, and {', '.join(missing)} to build it is missing"
    return Finding("InfluxDB", False, detail, remedy, Exit.MISSING_TOOL)


def check_home(settings: StackSettings) -> Finding:
    """Check that the folders of state and of downloads can be used; create them where they are missing."""
    folder = settings.stocks_home
    if problem := home.length_problem(folder):
        return Finding("STOCKS_HOME", False, problem, "Set it to a shorter path.", Exit.HOME_UNUSABLE)
    for name, wanted in (("STOCKS_HOME", folder), ("STOCKS_CACHE", settings.stocks_cache)):
        try:
            wanted.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=wanted):
                free = disk.free_bytes(wanted)
        except OSError as error:
            remedy = f"Set {name} to a folder that you may write to."
            return Finding(name, False, f"{wanted} can't be written to: {error.strerror}", remedy, Exit.HOME_UNUSABLE)
        if free < disk.NEEDED_TO_START:
            detail = (
                f"{wanted} has {disk.format_size(free)} free, and {disk.format_size(disk.NEEDED_TO_START)} are needed"
            )
            return Finding(name, False, detail, f"Make room, or set {name} to another disk.", Exit.DISK_FULL)
    if problem := home.layout_problem(folder):
        remedy = "Use the version that wrote it, or name another folder by STOCKS_HOME."
        return Finding("STOCKS_HOME", False, problem, remedy, Exit.OTHER_VERSION)
    if problem := home.ownership_problem(folder):
        remedy = "Set STOCKS_HOME to a new or empty folder."
        return Finding("STOCKS_HOME", False, problem, remedy, Exit.HOME_UNUSABLE)
    return Finding("STOCKS_HOME", True, str(folder))


def _clock(settings: StackSettings) -> Finding:
    problem = clock.clock_problem(clock.newest_write(settings.stocks_home), time.time())
    if problem is None:
        return Finding("clock", True, "not behind the last run's")
    return Finding("clock", True, problem, clock.REMEDY, doubtful=True)


def _ports(settings: StackSettings, with_dagster: bool) -> list[Finding]:
    wanted = {"KAFKA_PORT": settings.kafka_port, "KAFKA_CONTROLLER_PORT": settings.kafka_controller_port}
    if settings.runs_influxdb:
        wanted["INFLUXDB_PORT"] = settings.influxdb_port
    wanted["POSTGRES_PORT"] = settings.postgres_port
    if with_dagster:
        wanted |= {"DAGSTER_PORT": settings.dagster_port, "DAGSTER_CODE_PORT": settings.dagster_code_port}
    return check_ports(wanted, port_is_free, port_owner)


def check_ports(
    wanted: Mapping[str, int], is_free: Callable[[int], bool], owner_of: Callable[[int], str]
) -> list[Finding]:
    """Return a finding for each port (setting -> port): free, in use and by whom, or named by two settings."""
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
