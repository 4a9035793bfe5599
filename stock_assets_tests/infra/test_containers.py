"""The containers as far as they can be held without an engine: files, settings and versions against one another."""

import fnmatch
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.servers import influxdb_build, jars, kafka, postgres
from infra.settings import ProvidedServersSettings, StackSettings
from stock_assets.settings import CodeLocationSettings
from stock_assets_tests.services.fixtures import settings_for

ROOT = Path(__file__).parents[2]
FILE = ROOT / "infra" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("stocks:")}
ONE_SHOTS = {"secrets", "provision"}
FIELDS = {**CodeLocationSettings.model_fields, **ProvidedServersSettings.model_fields}
SETTINGS = {name.upper(): field.default for name, field in FIELDS.items()}

# Of compose alone: whose files a Grafana beside `stocks up` reads.
NO_SETTINGS = {"STOCKS_UID"}
# Not for containers: where the servers of `stocks up` listen, what only it makes, and accounts of servers elsewhere.
FOR_THE_HOST = {
    "KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "INFLUXDB_PORT", "GRAFANA_PORT", "STOCKS_CACHE", "SECRETS_DIR",
    "PARENT_PID", "STACK_STARTED_AT", "INFLUX_TOKEN", "INFLUX_READ_TOKEN", "INFLUX_OPERATOR_TOKEN",
    "GRAFANA_URL", "GRAFANA_TOKEN",
}  # fmt: skip


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def version(image: str) -> str:
    return next(str(s["image"]).split(":")[1] for s in SERVICES.values() if str(s["image"]).startswith(f"{image}:"))


@pytest.mark.parametrize("path", ["infra/compose.yaml", "compose.yaml"])
def test_compose_files_keep_to_their_schema(path: str) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(ROOT / path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_at_the_root_is_the_whole_platform() -> None:
    assert yaml.safe_load((ROOT / "compose.yaml").read_text()) == {
        "include": [{"path": "infra/compose.yaml", "project_directory": "."}]
    }


def test_every_variable_is_a_setting_and_has_its_default() -> None:
    found = re.findall(r"\$\{(\w+)(?::-([^}]*))?\}", FILE.read_text())
    assert found
    for name, default in found:
        if name == "STOCKS_HOME":
            assert default == f"./{SETTINGS[name]}"
        elif name not in NO_SETTINGS:
            assert default == str(SETTINGS[name]), name


@pytest.mark.parametrize("name", sorted(OURS - {"spark-master", "spark-worker"}))
def test_the_programs_get_every_setting_and_no_other(name: str) -> None:
    given = SERVICES[name]["environment"].keys() - {"DAGSTER_HOME"}
    assert given == SETTINGS.keys() - FOR_THE_HOST, (
        "list a new setting in infra/compose.yaml, or name it in FOR_THE_HOST"
    )


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_for_this_machine_alone(name: str) -> None:
    service = SERVICES[name]
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    if service.get("network_mode") == "host":
        assert service["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_runs_as_an_ordinary_user_and_gains_nothing(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"(appuser|[1-9]\d*:\d+|\$\{STOCKS_UID:-1000\}:0)", service["user"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_image_is_named_by_an_exact_version(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?(-bookworm)?", SERVICES[name]["image"])


def test_the_versions_are_those_of_the_stack_without_containers() -> None:
    assert version("influxdb") == influxdb_build.VERSION
    assert version("apache/kafka") == jars.BROKER.artifacts[0][2]
    shown = subprocess.run([postgres.program("postgres"), "--version"], capture_output=True, text=True, check=True)
    assert version("postgres") == f"{shown.stdout.split()[-1]}-bookworm"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_long_running_services_have_a_healthcheck_and_are_restarted(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOTS:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_each_waits_for_what_it_needs() -> None:
    conditions = {
        (name, needed): how["condition"]
        for name, service in SERVICES.items()
        for needed, how in service.get("depends_on", {}).items()
    }
    for (name, needed), condition in conditions.items():
        wanted = "service_completed_successfully" if needed in ONE_SHOTS else "service_healthy"
        assert condition == wanted, (name, needed)
    assert {needed for name, needed in conditions if name == "provision"} == {"kafka", "influxdb", "postgres"}
    assert {name for name, needed in conditions if needed == "provision"} == {"dagster-code", "grafana"}
    assert {name for name, needed in conditions if needed == "dagster-code"} == {"dagster-daemon", "dagster-ui"}


def test_state_lies_in_named_volumes_and_secrets_are_read_only() -> None:
    used = set()
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source, target = (mount["source"], mount["target"]) if isinstance(mount, dict) else mount.split(":")[:2]
            used.add(source)
            if target == "/run/secrets":
                assert mount["read_only"] is True
            if source.startswith("./"):
                assert mount.endswith(":ro")
                assert (ROOT / source).exists(), source
    assert {source for source in used if "/" not in source} == COMPOSE["volumes"].keys()


def test_no_secret_is_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|SECRET", name):
                assert value is None or value.startswith("/run/secrets/"), name


def test_kafka_is_configured_as_the_stacks_own(tmp_path: Path) -> None:
    environment = SERVICES["kafka"]["environment"]
    own = kafka.server_properties(settings_for(tmp_path), tmp_path)
    elsewhere = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs",
                 "listener.security.protocol.map"}  # fmt: skip
    for name, value in own.items():
        if name not in elsewhere:
            assert environment[f"KAFKA_{name.upper().replace('.', '_')}"] == value, name


def dockerfile() -> list[list[str]]:
    text = (ROOT / "infra" / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [words[1:-1] for words in dockerfile() if words[0] == "COPY" and not words[1].startswith("--from")]
    sources = [source for words in copied for source in words]
    assert sorted(sources) == sorted(kept)
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_begins_with_an_exact_version_and_ends_as_an_ordinary_user() -> None:
    lines = dockerfile()
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", lines[0][1])
    assert lines[-1] == ["USER", SERVICES["dagster-code"]["user"]]
    installs = " ".join(word for words in lines for word in words)
    assert re.search(r"uv==\d+\.\d+\.\d+", installs)
    assert "--require-hashes" in installs


def test_the_image_has_every_folder_that_a_volume_is_mounted_on() -> None:
    made = " ".join(word for words in dockerfile() for word in words)
    for name in OURS:
        for mount in SERVICES[name]["volumes"]:
            assert mount.split(":")[1] in made


def test_what_is_installed_has_more_than_python_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    for pattern in (
        "infra/dagster/dagster.yaml",
        "infra/grafana/provisioning/datasources/stocks.yaml",
        "spark_streaming/runtime/log4j2.properties",
        "stock_assets/store/migrations/script.py.mako",
        "stock_assets/store/migrations/versions/0001_*.py",
    ):
        assert fnmatch.filter(names, pattern), pattern
    assert not fnmatch.filter(names, "stock_assets_tests/*")


def test_a_folder_of_secrets_is_read_and_wins_over_what_the_stack_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    given, home = tmp_path / "given", tmp_path / "home"
    (home / "secrets" / "yahoo").mkdir(parents=True)
    given.mkdir()
    (home / "secrets" / "yahoo" / "influx_read_token").write_text("made")
    (home / "secrets" / "postgres_password").write_text("made")
    (given / "influx_read_token").write_text("given\n")
    monkeypatch.setenv("SECRETS_DIR", str(given))
    monkeypatch.setenv("STOCKS_HOME", str(home))
    settings = CodeLocationSettings()
    assert settings.influx_read_token.get_secret_value() == "given"
    assert settings.postgres_password.get_secret_value() == "made"
    assert StackSettings().influx_read_token is not None
