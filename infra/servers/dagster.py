"""Dagster's three programs, each supervised separately: the code server, the daemon and the webserver."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
import yaml

from infra.host import secrets
from infra.host.errors import StackError
from infra.host.ports import accepts_connections
from infra.host.private_files import private_folder, write_private
from infra.host.secrets import Secrets
from infra.servers import kafka, postgres
from infra.settings import HOST, StackSettings, service_environment
from infra.supervise.service import Service

CODE_SERVER, DAEMON, WEBSERVER = "dagster-code", "dagster-daemon", "dagster-ui"
NAMES = (CODE_SERVER, DAEMON, WEBSERVER)
_SHIPPED = Path(__file__).parent.parent / "dagster" / "dagster.yaml"


def services(settings: StackSettings) -> list[Service]:
    """Return the services: the code server, which starts the runs, the daemon and the webserver."""
    home, port = folder(settings), settings.dagster_code_port
    workspace = str(home / "workspace.yaml")
    python = sys.executable

    def service(name: str, address: str, *command: str, **more: Any) -> Service:  # noqa: ANN401 - Service's fields
        return Service(
            name=name,
            command=(python, "-m", *command),
            environment=environment(settings),
            directory=working_directory(),
            address=address,
            log=settings.stocks_home / "logs" / f"{name}.log",
            **more,
        )

    return [
        service(
            CODE_SERVER, f"{HOST}:{port}",
            "stock_assets.code_server", HOST, str(port),
            ready=lambda: accepts_connections(HOST, port),  # it listens once the code is loaded
            needs=(kafka.NAME, postgres.NAME),
            stop_signal=signal.SIGINT,  # ends the runs with it: of SIGTERM they would know nothing
            stop_seconds=75,  # more than the 60 s that a run gives its program to end
            starts_others=True,
        ),
        service(
            DAEMON, "-",
            "dagster._daemon", "run", "-w", workspace,
            ready=lambda: True,
            needs=(CODE_SERVER,),
            stop_signal=signal.SIGINT,
        ),
        service(
            WEBSERVER, ui_address(settings),
            "dagster_webserver", "-h", HOST, "-p", str(settings.dagster_port), "-w", workspace,
            ready=lambda: _answers(f"{ui_address(settings)}/server_info"),
            needs=(CODE_SERVER,),
            stop_signal=signal.SIGINT,
        ),
    ]  # fmt: skip


def folder(settings: StackSettings) -> Path:
    """Return the folder that is DAGSTER_HOME."""
    return settings.stocks_home / "dagster"


def working_directory() -> Path:
    """Return the working directory of Dagster's programs: that of `stocks up`, which holds `.env`."""
    return Path.cwd()


def ui_address(settings: StackSettings) -> str:
    """Return the address of Dagster's UI on this machine."""
    return f"http://{HOST}:{settings.dagster_port}"


def environment(settings: StackSettings) -> dict[str, str]:
    """Return the whole environment of Dagster's programs: it names the home, which holds settings and secrets."""
    own = {"STOCKS_HOME": str(settings.stocks_home), "DAGSTER_HOME": str(folder(settings)), "PYTHONUNBUFFERED": "1"}
    return service_environment() | own


def prepare(settings: StackSettings) -> None:
    """Write the instance's configuration, which holds the password, and the workspace into DAGSTER_HOME.

    NOTIFY_URLS is stored as a secret, since nothing of the caller's environment reaches Dagster's programs.
    """
    if settings.notify_urls is not None:
        Secrets(settings.stocks_home).write(secrets.NOTIFY_URLS, settings.notify_urls.get_secret_value())
    home = private_folder(folder(settings))
    password = Secrets(settings.stocks_home).get_or_create(secrets.POSTGRES_PASSWORD, settings.given_postgres_password)
    values = {
        "POSTGRES_HOST": settings.postgres_address[0],
        "POSTGRES_PORT": settings.postgres_address[1],
        "POSTGRES_USER": settings.postgres_user,
        "POSTGRES_PASSWORD": password,
        "DAGSTER_POSTGRES_DB": settings.names.dagster_database,
        "DAGSTER_COMPUTE_LOGS": str(home / "logs"),
        "DAGSTER_ARTIFACTS": str(home),
    }
    rendered = fill_in(yaml.safe_load(_SHIPPED.read_text(encoding="utf-8")), values)
    write_private(home / "dagster.yaml", yaml.safe_dump(rendered, sort_keys=False))
    host, port = settings.code_server_address
    server = {"host": host, "port": port, "location_name": "stock_assets"}
    write_private(home / "workspace.yaml", yaml.safe_dump({"load_from": [{"grpc_server": server}]}))


def fill_in(tree: Any, values: Mapping[str, object]) -> Any:  # noqa: ANN401 - YAML
    """Return a copy of `tree` in which each `{env: NAME}` is replaced by the value of that name.

    Raises:
        StackError: a name has no value here.
    """
    if isinstance(tree, dict):
        if set(tree) == {"env"}:
            if tree["env"] not in values:
                raise StackError(f"{_SHIPPED} asks for {tree['env']}, which `stocks up` does not know")
            return values[tree["env"]]
        return {key: fill_in(value, values) for key, value in tree.items()}
    if isinstance(tree, list):
        return [fill_in(value, values) for value in tree]
    return tree


def _answers(url: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy is meant for this machine's own servers
            return session.get(url, timeout=2).ok
    except requests.RequestException:
        return False
