"""The stack's pure decisions: no server, no clock."""

import configparser
import errno
import shlex
import signal
import stat
import tempfile
from pathlib import Path

import pytest

from infra.host import clock, disk, home, install_hints, secrets
from infra.host.errors import Exit, StackError, file_problem
from infra.host.secrets import Secrets
from infra.servers import influxdb_build, kafka
from infra.servers.dagster import fill_in
from infra.settings import RunningStackSettings
from infra.stack import requirements
from infra.stack.servers import effective_settings, write_stack_env
from infra.supervise import tools
from infra.supervise.service import Service
from infra.supervise.supervisor import socket_folder
from infra.supervise.supervisord import Status, configuration, levels
from infra.supervise.watchdog import Watchdog
from stock_assets_tests.services.fixtures import no_settings_around, settings_for


def service(name: str, *needs: str, **more: object) -> Service:
    return Service(
        name, ("true",), {}, Path("/"), "-", Path(f"/logs/{name}.log"), lambda: True, needs, **more  # type: ignore[arg-type]
    )  # fmt: skip


def status(name: str, pid: int, state: str = "RUNNING") -> Status:
    return Status(name, state, pid, 0, "")


def test_a_service_starts_after_what_it_needs_and_stops_before() -> None:
    services = [service("ui", "code"), service("code", "kafka", "postgres"), service("kafka"), service("postgres")]
    assert levels(services) == [["kafka", "postgres"], ["code"], ["ui"]]


def test_services_that_need_one_another_are_refused() -> None:
    with pytest.raises(ValueError, match="need one another"):
        levels([service("a", "b"), service("b", "a")])


def test_the_configuration_defines_how_each_service_is_stopped() -> None:
    services = [service("code", "db", stop_signal=signal.SIGINT, starts_others=True), service("db", stop_seconds=30)]
    parser = configparser.RawConfigParser()
    parser.read_string(configuration(services, Path("/tmp/100%/s")))
    assert parser["unix_http_server"]["file"] == "/tmp/100%%/s"
    code, db = parser["program:code"], parser["program:db"]
    assert shlex.split(code["command"])[-1] == "run/code.json"
    assert code["stopsignal"] == "INT"
    assert (db["stopsignal"], db["stopwaitsecs"]) == ("TERM", "30")
    assert int(code["priority"]) > int(db["priority"])  # the highest is stopped first


def test_a_service_that_dies_is_reported_once() -> None:
    watchdog = Watchdog()
    assert watchdog.update([status("kafka", 1)], 0) == []
    assert watchdog.update([status("kafka", 2)], 1) == ["kafka (pid 1) died; it started again as 2"]
    assert watchdog.update([status("kafka", 2)], 2) == []


def test_a_stopped_service_has_not_died() -> None:
    watchdog = Watchdog()
    watchdog.update([status("kafka", 1)], 0)
    assert watchdog.update([status("kafka", 0, "STOPPED")], 1) == []


@pytest.mark.parametrize(("seconds_between", "given_up"), [(10, "kafka"), (30, None)])
def test_five_deaths_in_about_a_minute_are_too_many(seconds_between: int, given_up: str | None) -> None:
    watchdog = Watchdog()
    for pid in range(1, 7):
        watchdog.update([status("kafka", pid)], pid * seconds_between)
    assert watchdog.given_up([status("kafka", 6)], 6 * seconds_between) == given_up


def test_deaths_are_counted_for_the_table() -> None:
    watchdog = Watchdog()
    for pid in (1, 2, 3):
        watchdog.update([status("kafka", pid), status("ui", 9)], pid * 100)
    assert watchdog.restarts == {"kafka": 2}


def test_a_clock_that_is_behind_the_last_run_is_doubtful() -> None:
    assert clock.clock_problem(newest=0, now=1_800_000_000) is None
    assert clock.clock_problem(newest=1_800_000_030, now=1_800_000_000) is None
    assert clock.clock_problem(newest=1_800_003_600, now=1_800_000_000) == (
        "it says 2027-01-15 08:00Z, and the last run wrote at 2027-01-15 09:00Z, 60 min later"
    )


def test_a_clock_that_is_set_is_reported_once_and_sleep_is_not() -> None:
    watched = clock.Clock()
    assert watched.update(wall=1000, steady=10) is None
    assert watched.update(wall=1000 + 8 * 3600, steady=10 + 8 * 3600) is None  # the machine slept
    assert "set back by 60 min" in str(watched.update(wall=1000 + 7 * 3600, steady=10 + 8 * 3600))
    assert watched.update(wall=1001 + 7 * 3600, steady=11 + 8 * 3600) is None


def test_a_disk_that_gets_full_is_reported_once() -> None:
    room = disk.FreeSpace()
    sizes = (3 * 2**30, 900 * 2**20, 800 * 2**20, 3 * 2**30, 700 * 2**20)
    assert [bool(room.update(free)) for free in sizes] == [False, True, False, False, True]
    assert disk.format_size(900 * 2**20) == "900 MiB"


@pytest.mark.parametrize(("text", "allowed"), [(None, True), ("1\n", True), ("2\n", False), ("", False)])
def test_a_home_of_another_layout_is_not_used(tmp_path: Path, text: str | None, allowed: bool) -> None:
    if text is not None:
        (tmp_path / "version").write_text(text)
    assert (home.layout_problem(tmp_path) is None) is allowed
    if allowed:
        home.claim(tmp_path)
        assert (tmp_path / "version").read_text() == "1\n"


def test_a_socket_whose_path_is_too_long_is_put_into_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    long = Path("/", "x" * 100)
    folder = socket_folder(long)
    assert folder.parent == tmp_path
    assert socket_folder(long) == folder  # a killed start leaves nothing that the next one doesn't use
    folder.chmod(0o755)
    with pytest.raises(StackError, match="yours alone"):
        socket_folder(long)


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError(errno.ENOSPC, "No space left on device"), Exit.DISK_FULL),
     (OSError(errno.EROFS, "Read-only file system", "/home"), Exit.HOME_UNUSABLE),
     (OSError(errno.EPERM, "Operation not permitted"), None), (OSError("refused"), None)],
)  # fmt: skip
def test_a_full_disk_is_distinguished_from_other_failures(error: OSError, code: Exit | None) -> None:
    meant = file_problem(error)
    assert (meant.code if meant else None) == code


def test_what_supervisord_has_given_up_is_given_up() -> None:
    assert Watchdog().given_up([status("a", 1), status("b", 0, "FATAL")], 0) == "b"


@pytest.mark.parametrize(
    ("text", "version"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_402"', 8), ('openjdk version "21" x', 21),
     ("", None)],
)  # fmt: skip
def test_both_forms_of_javas_version_are_parsed(text: str, version: int | None) -> None:
    assert tools.parse_java_version(text) == version


def test_gos_version_is_parsed() -> None:
    assert influxdb_build.go_version("go version go1.26.8 linux/amd64") == (1, 26)
    assert influxdb_build.go_version("sh: go: not found") == (0,)


def test_a_taken_port_names_its_holder_and_the_setting() -> None:
    found = requirements.check_ports(
        {"KAFKA_PORT": 9092, "INFLUXDB_PORT": 8086}, lambda port: port != 8086, lambda _: "influxd (pid 7)"
    )
    assert [finding.ok for finding in found] == [True, False]
    with pytest.raises(StackError, match=r"port 8086: in use by influxd \(pid 7\).* set INFLUXDB_PORT") as error:
        requirements.require_all(found)
    assert error.value.code is Exit.PORT_TAKEN


def test_one_port_for_two_services_is_refused() -> None:
    found = requirements.check_ports({"KAFKA_PORT": 9092, "DAGSTER_PORT": 9092}, lambda _: True, str)
    assert "DAGSTER_PORT and KAFKA_PORT both name it" in found[1].detail


@pytest.mark.parametrize(
    ("release", "system"),
    [({"ID": "debian"}, "debian"), ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "ubuntu"),
     ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "fedora"), ({"ID": "arch"}, "other")],
)  # fmt: skip
def test_a_system_is_known_by_its_family(release: dict[str, str], system: str) -> None:
    assert install_hints.system_name(release, "linux") == system


@pytest.mark.parametrize("thing", ["java", "influxd", "build"])
@pytest.mark.parametrize("system", ["debian", "ubuntu", "fedora", "macos", "other"])
def test_every_missing_thing_has_a_remedy_on_every_system(thing: str, system: str) -> None:
    assert install_hints.install_command(thing, system, as_root=False)


def test_java_properties_take_any_path() -> None:
    assert kafka.render({"log.dirs": "/home/Zoë/c:\\x"}) == "log.dirs=/home/Zo\\u00eb/c:\\\\x\n"


def test_every_name_of_the_dagster_file_needs_a_value() -> None:
    assert fill_in({"a": [{"env": "X"}], "b": 1}, {"X": 5}) == {"a": [5], "b": 1}
    with pytest.raises(StackError, match="asks for Y"):
        fill_in({"a": {"env": "Y"}}, {"X": 5})


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    keep = Secrets(tmp_path)
    value = keep.get_or_create(secrets.POSTGRES_PASSWORD)
    assert keep.get_or_create(secrets.POSTGRES_PASSWORD) == value
    assert keep.get_or_create(secrets.POSTGRES_PASSWORD, "the user's own") == "the user's own"
    file = tmp_path / "secrets" / secrets.POSTGRES_PASSWORD
    assert [stat.S_IMODE(p.stat().st_mode) for p in (file, file.parent)] == [0o600, 0o700]
    assert list(file.parent.iterdir()) == [file]


def test_other_terminals_see_what_really_runs(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, stocks=("A", "B"))
    write_stack_env(settings, {"REPLAY_FILE": "/it's/a file.csv", "KAFKA_PORT": "1"})
    text = (tmp_path / "stack.env").read_text()
    assert "REPLAY_FILE='/it\\'s/a file.csv'" in text
    assert f"KAFKA_PORT='{settings.kafka_port}'" in text  # what runs wins over what was asked for
    assert stat.S_IMODE((tmp_path / "stack.env").stat().st_mode) == 0o600
    with no_settings_around(tmp_path):
        seen = RunningStackSettings(stocks_home=tmp_path)
    assert effective_settings(seen) == effective_settings(settings)
