"""What compose.yaml has its containers run, run here: against servers that were started and never prepared."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
from kafka.admin import KafkaAdminClient

from infra.host.ports import accepts_connections
from infra.host.progress import Progress
from infra.servers import influxdb, jars, kafka, postgres
from infra.settings import StackSettings
from infra.supervise.service import launch_spec, launcher_command
from infra.supervise.supervisor import Supervisor
from stock_assets_tests.infra.test_containers import COMPOSE, SERVICES
from stock_assets_tests.services.fixtures import free_ports, no_settings_around, open_folder, settings_for
from stock_assets_tests.services.waiting import until

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Containers:
    """The containers' folders and addresses on this machine."""

    settings: StackSettings
    folder: Path

    def here(self, text: str) -> str:
        """A word of compose.yaml, with the addresses and folders of this machine in place of the containers'."""
        ports = {
            "kafka:9092": self.settings.kafka_address,
            "http://influxdb:8086": self.settings.effective_influxdb_url,
            "127.0.0.1:3001": f"127.0.0.1:{self.settings.dagster_port}",
            "127.0.0.1/3002": f"127.0.0.1/{self.settings.dagster_code_port}",
        }
        whole = {
            "postgres": "127.0.0.1", "dagster-code": "127.0.0.1", "0.0.0.0": "127.0.0.1",
            "5432": str(self.settings.postgres_port), "3001": str(self.settings.dagster_port),
            "3002": str(self.settings.dagster_code_port),
        }  # fmt: skip
        if text in whole:
            return whole[text]
        for container, ours in ports.items():
            text = text.replace(container, ours)
        return f"{self.folder}{text}" if text.startswith(("/stocks", "/handout")) else text

    def environment(self, name: str) -> dict[str, str]:
        """As compose would give it: what is set, and what the shell has of the rest."""
        shell = {"SOURCE": "simulated", "SIMULATED_BARS": "5", "STOCKS": "AMZN,MSFT"}
        given = SERVICES[name]["environment"]
        values = {key: shell.get(key) if value is None else self.here(value) for key, value in given.items()}
        image = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "STOCKS_CACHE": str(self.settings.stocks_cache)}
        return image | {key: value for key, value in values.items() if value is not None}

    def run(self, name: str, command: str = "command") -> subprocess.CompletedProcess[str]:
        words = SERVICES[name]["command"] if command == "command" else SERVICES[name]["healthcheck"]["test"][1:]
        return subprocess.run(
            [self.here(word) for word in words], cwd=self.folder, env=self.environment(name), capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip

    def start(self, name: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("wb")
        words = tuple(self.here(word) for word in SERVICES[name]["command"])
        number = signal.Signals[SERVICES[name]["stop_signal"]]
        program = (str(PROGRAMS / words[0]), *words[1:])
        spec = launch_spec(program, self.environment(name), self.folder, stop_signal=number, group_seconds=30)
        return subprocess.Popen(launcher_command(spec), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def is_healthy(self, name: str) -> bool:
        return self.run(name, "healthcheck").returncode == 0


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """Servers as their images start them: a broker with compose's own configuration, nothing made on any of them."""
    folder = open_folder()
    for name in ("stocks", "handout/postgres", "handout/grafana"):
        (folder / name).mkdir(parents=True)
    made = Containers(settings_for(folder / "stocks"), folder)
    settings = made.settings
    first = made.run("secrets")
    assert first.returncode == 0, first.stderr
    services = [kafka.service(settings), influxdb.service(settings), postgres.service(settings)]
    supervisor = Supervisor(settings.stocks_home, services)
    supervisor.start()
    try:
        jars.resolve(jars.BROKER, settings.stocks_cache, Progress())
        kafka.prepare(settings)
        configure(made)
        influxdb.prepare(settings, Progress())
        postgres.prepare(settings)
        for service in services:
            supervisor.start_service(service.name)
        yield made
    finally:
        supervisor.stop_services()
        supervisor.stop()
        shutil.rmtree(folder, ignore_errors=True)


def configure(containers: Containers) -> None:
    """Write the broker's configuration as its image does: KAFKA_NODE_ID is node.id."""
    settings, folder = containers.settings, containers.settings.stocks_home / "kafka"
    [host_port] = free_ports(1)
    where = {
        "//kafka:9092": f"//127.0.0.1:{settings.kafka_port}", "//:9092": f"//127.0.0.1:{settings.kafka_port}",
        "kafka:9093": f"127.0.0.1:{settings.kafka_controller_port}",
        "//:9093": f"//127.0.0.1:{settings.kafka_controller_port}", "//:19092": f"//127.0.0.1:{host_port}",
        "${KAFKA_PORT:-9092}": str(host_port), "/var/lib/kafka/data": str(folder / "data"),
    }  # fmt: skip
    properties = {}
    for name, value in SERVICES["kafka"]["environment"].items():
        if name not in ("CLUSTER_ID", "KAFKA_HEAP_OPTS"):
            for container, ours in where.items():
                value = value.replace(container, ours)
            properties[name.removeprefix("KAFKA_").lower().replace("_", ".")] = value
    (folder / "server.properties").write_text(kafka.render(properties))


@pytest.fixture(scope="module")
def provisioned(containers: Containers) -> Containers:
    done = containers.run("provision")
    assert done.returncode == 0, done.stderr
    return containers


def test_postgres_is_given_the_one_secret_that_it_needs(containers: Containers) -> None:
    [path] = (containers.folder / "handout" / "postgres").iterdir()
    variable = SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"]
    assert variable == f"/run/secrets/{path.name}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o440
    before = path.read_text()
    assert containers.run("secrets").returncode == 0
    assert path.read_text() == before  # the database has it already


def test_topics_buckets_tokens_roles_and_tables_are_made(provisioned: Containers) -> None:
    admin = KafkaAdminClient(bootstrap_servers=provisioned.settings.kafka_address)
    topics = set(admin.list_topics())
    admin.close()
    assert {"real-time-stock-prices-simulated", "real-time-stock-prices-simulated.dead-letter"} <= topics
    secrets = provisioned.folder / "handout" / "grafana"
    answer = requests.post(
        f"{provisioned.settings.effective_influxdb_url}/api/v2/query", params={"org": "stocks"}, timeout=30,
        headers={"Authorization": f"Token {(secrets / 'influx_read_token').read_text()}"},
        json={"query": 'from(bucket: "stock-prices-simulated") |> range(start: -1h)'},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    with closing(reader(provisioned)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM stock_info")
        assert cursor.fetchone() == (0,)


def reader(containers: Containers) -> Any:
    folder = containers.folder / "handout" / "grafana"
    shown = subprocess.run(
        ["sh", "-euc", f". {folder}/grafana.env && echo $STOCKS_POSTGRES_READER $STOCKS_POSTGRES_DATABASE"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    user, database = shown.stdout.split()
    return psycopg2.connect(
        host="127.0.0.1", port=containers.settings.postgres_port, user=user, dbname=database,
        password=(folder / "postgres_read_password").read_text(),
    )  # fmt: skip


def test_grafana_is_given_the_readers_accounts_and_no_others(provisioned: Containers) -> None:
    folder = provisioned.folder / "handout" / "grafana"
    names = {path.name for path in folder.iterdir()}
    assert names == {"grafana.env", "grafana_admin_password", "influx_read_token", "postgres_read_password"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o440 for path in folder.iterdir())
    shown = (folder / "grafana.env").read_text()
    assert "STOCKS_INFLUXDB_BUCKET=stock-prices-simulated\n" in shown
    assert not any((folder / name).read_text() in shown for name in names - {"grafana.env"})


def test_provisioning_again_changes_nothing(provisioned: Containers) -> None:
    kept = [p for p in (provisioned.settings.stocks_home / "secrets").rglob("*") if p.is_file()]
    before = {path: path.read_bytes() for path in kept}
    again = provisioned.run("provision")
    assert again.returncode == 0, again.stderr
    assert {path: path.read_bytes() for path in kept} == before


def test_dagsters_programs_start_from_it_and_are_healthy(provisioned: Containers) -> None:
    names = ["dagster-code", "dagster-daemon", "dagster-ui"]
    programs = []
    try:
        for name in names:
            assert not provisioned.is_healthy(name)
            programs.append(provisioned.start(name))
            if name == "dagster-code":
                until(lambda: provisioned.is_healthy("dagster-code"), 120)
        until(lambda: provisioned.is_healthy("dagster-ui"), 120)
        until(lambda: provisioned.is_healthy("dagster-daemon"), 120)
        query = "{repositoriesOrError {... on RepositoryConnection {nodes {assetNodes {assetKey {path}}}}}}"
        url = f"http://127.0.0.1:{provisioned.settings.dagster_port}/graphql"
        answer = requests.post(url, json={"query": query}, timeout=30).json()
        [repository] = answer["data"]["repositoriesOrError"]["nodes"]
        assert ["influxdb", "stock_price_v1"] in [node["assetKey"]["path"] for node in repository["assetNodes"]]
    finally:
        for program in reversed(programs):
            program.terminate()
        for program in programs:
            program.wait(timeout=90)


def test_commands_work_with_external_servers(provisioned: Containers) -> None:
    """`docker compose exec dagster-code stocks …`."""
    environment = provisioned.environment("dagster-code")
    for words in (["watch"], ["dead-letters", "list"]):
        done = subprocess.run(
            [PROGRAMS / "stocks", *words], cwd=provisioned.folder, env=environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_a_server_that_does_not_answer_is_named_with_its_setting(tmp_path: Path) -> None:
    with no_settings_around(tmp_path):
        environment = {**os.environ, "STOCKS_HOME": str(tmp_path), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
        begin = time.monotonic()
        done = subprocess.run(
            [PROGRAMS / "stocks", "provision", "servers"], cwd=tmp_path, env=environment, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 5
    assert "KAFKA_BOOTSTRAP_SERVERS names it" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - begin < 100


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Spark's master and one worker, by compose's commands, on free ports."""
    import pyspark

    home = Path(pyspark.__file__).parent
    ports = dict(zip(("7077", "8080", "8081"), free_ports(3), strict=True))
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment["SPARK_WORKER_DIR"] = str(tmp_path_factory.mktemp("spark"))
    environment["PATH"] = f"{home / 'bin'}:{environment['PATH']}"
    started = []
    try:
        for name in ("spark-master", "spark-worker"):
            words = [word.replace("spark-master", "127.0.0.1") for word in SERVICES[name]["command"]]
            for container, ours in ports.items():
                words = [word.replace(container, str(ours)) for word in words]
            started.append(
                subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            until(partial(accepts_connections, "127.0.0.1", ports["8080" if name == "spark-master" else "8081"]))
        yield ports
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=60)


def test_the_workers_find_their_master(cluster: dict[str, int]) -> None:
    def workers() -> int:
        return int(requests.get(f"http://127.0.0.1:{cluster['8080']}/json/", timeout=10).json()["aliveworkers"])

    until(lambda: workers() == 1, 60)


def test_every_command_of_the_containers_is_run_here() -> None:
    ours = {name for name, service in SERVICES.items() if "command" in service}
    assert ours == {
        "secrets",
        "provision",
        "dagster-code",
        "dagster-daemon",
        "dagster-ui",
        "spark-master",
        "spark-worker",
    }
    assert COMPOSE["name"] == "stocks"
