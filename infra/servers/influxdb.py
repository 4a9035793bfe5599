"""InfluxDB 2.7: the stack's own server, and the buckets and tokens of each source in it or in one that was named."""

import threading

from infra.host import secrets
from infra.host.errors import Exit, StackError
from infra.host.private_files import private_folder
from infra.host.progress import Progress
from infra.host.secrets import Secrets
from infra.servers import influxdb_build
from infra.servers.influxdb_api import Operator, Tokens, is_healthy, session, token_problem
from infra.settings import HOST, StackSettings, service_environment
from infra.supervise.service import Service
from spark_streaming.contract.schema import Source

NAME = "influxdb"
_YEAR = 365 * 24 * 3600
_SECONDS = 30


def service(settings: StackSettings) -> Service:
    """Return the service of the stack's own server; call `prepare` before it starts."""
    folder = settings.stocks_home / "influxdb"
    url = settings.effective_influxdb_url
    return Service(
        name=NAME,
        command=(
            influxdb_build.program(settings.stocks_cache),
            "--http-bind-address", f"{HOST}:{settings.influxdb_port}",  # its default is every interface
            "--bolt-path", str(folder / "influxd.bolt"),
            "--sqlite-path", str(folder / "influxd.sqlite"),
            "--engine-path", str(folder / "engine"),
            "--reporting-disabled",
            "--log-level", "info",
        ),
        # Else a config.toml that happens to lie in the working directory would be read.
        environment=service_environment() | {"INFLUXD_CONFIG_PATH": str(folder)},
        directory=folder,
        address=url,
        log=settings.stocks_home / "logs" / "influxdb.log",
        ready=lambda: is_healthy(url),
        stop_seconds=30,
    )  # fmt: skip


def prepare(settings: StackSettings, progress: Progress, stop: threading.Event | None = None) -> None:
    """Build the server program if it is missing, which takes minutes, and create the folder of its data.

    Raises:
        StackError: the program is missing and can't be built.
    """
    influxdb_build.ensure(settings.stocks_cache, settings.stocks_home / "logs" / "influxdb-build.log", progress, stop)
    private_folder(settings.stocks_home / "influxdb")


def provision(settings: StackSettings, source: Source) -> None:
    """Create the source's bucket and its two tokens, and store the tokens; existing ones that work are kept.

    Raises:
        StackError: the server rejects a request, or the server of INFLUXDB_URL needs a token that was not given.
    """
    keep = Secrets(settings.stocks_home)
    kept = (keep.read(secrets.INFLUX_TOKEN, source), keep.read(secrets.INFLUX_READ_TOKEN, source))
    given = _given(settings, source)
    if settings.runs_influxdb and any(value not in (None, old) for value, old in zip(given, kept, strict=True)):
        raise StackError(
            "INFLUX_TOKEN or INFLUX_READ_TOKEN is set, but the stack's own InfluxDB makes its own tokens. Take them "
            "out of the environment and of .env, or name the server that they belong to by INFLUXDB_URL."
        )
    bucket = settings.source_names(source).bucket
    problem = None if settings.runs_influxdb else _problem(settings, bucket, *given)
    if settings.runs_influxdb or (problem and settings.influx_operator_token is not None):
        made = operator(settings).tokens_of(bucket, _shard_seconds(source), kept)
    elif problem:
        raise StackError(
            f"InfluxDB at {settings.influxdb_url}: {problem}. Set INFLUX_OPERATOR_TOKEN, which may make buckets and "
            f"tokens there, or INFLUX_TOKEN and INFLUX_READ_TOKEN, which may write and read a bucket {bucket} that is "
            "there already.", Exit.INFLUXDB_UNUSABLE,
        )  # fmt: skip
    else:
        made = Tokens(str(given[0]), str(given[1]))
    tokens = (made.write, made.read)
    for name, value, old in zip((secrets.INFLUX_TOKEN, secrets.INFLUX_READ_TOKEN), tokens, kept, strict=True):
        if value != old:
            keep.write(name, value, source)


def _given(settings: StackSettings, source: Source) -> tuple[str | None, str | None]:
    """The two tokens as the settings have them: named by the user, or kept already."""
    if source is not settings.source:
        return None, None
    write, read = settings.influx_token, settings.influx_read_token
    return write.get_secret_value() if write else None, read.get_secret_value() if read else None


def _problem(settings: StackSettings, bucket: str, write: str | None, read: str | None) -> str | None:
    """Why the tokens that there are won't do for the server that was named."""
    if not write or not read:
        return "INFLUX_TOKEN and INFLUX_READ_TOKEN are not both known"
    return token_problem(settings.influxdb_url, settings.influx_org, bucket, Tokens(write, read))


def operator(settings: StackSettings) -> Operator:
    """Return a client with the operator token; the stack's own server is set up first if it is not yet.

    Raises:
        StackError: the server does not answer, or rejects the token or the setup.
    """
    url = settings.effective_influxdb_url
    if not settings.runs_influxdb and settings.influx_operator_token is not None:
        token = settings.influx_operator_token.get_secret_value()
        return Operator(url, settings.influx_org, token, "Set INFLUX_OPERATOR_TOKEN to one of that server.")
    token = set_up(settings)
    remedy = (
        "Was its data replaced? Remove data and secrets together (stocks reset), or put the right token into "
        "secrets/influx_operator_token of STOCKS_HOME."
    )
    return Operator(url, settings.influx_org, token, remedy)


def set_up(settings: StackSettings) -> str:
    """Set up a server that is not set up yet; store and return the operator token.

    Raises:
        StackError: the server rejects its setup.
    """
    url, keep = settings.effective_influxdb_url, Secrets(settings.stocks_home)
    given = None if settings.runs_influxdb else settings.influx_operator_token
    token = keep.get_or_create(secrets.INFLUX_OPERATOR_TOKEN, given.get_secret_value() if given else None)
    password = keep.get_or_create(secrets.INFLUX_ADMIN_PASSWORD)
    client = session()
    if client.get(f"{url}/api/v2/setup", timeout=_SECONDS).json()["allowed"]:
        # The token was stored before, so that an interruption right after this loses nothing.
        body = {"username": "stocks", "password": password, "org": settings.influx_org, "token": token}
        done = client.post(f"{url}/api/v2/setup", json=body | {"bucket": "unused"}, timeout=_SECONDS)
        if not done.ok:
            raise StackError(f"InfluxDB at {url} refused its setup: {done.status_code} {done.text[:300]}")
    return token


def _shard_seconds(source: Source) -> int:
    """Daily bars of decades would make a thousand shards of a year's week, and take minutes and file descriptors."""
    return 20 * _YEAR if source is Source.REPLAY else _YEAR
