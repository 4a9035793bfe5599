"""InfluxDB 2.7: the stack's own server, and the buckets and tokens of each source in it or in one that was named."""

import threading
from dataclasses import dataclass
from typing import Any

import requests

from infra.local import influxdb_build, secrets
from infra.local.errors import StackError
from infra.local.progress import Progress
from infra.local.secrets import Secrets
from infra.local.service import Service, private_folder
from infra.settings import HOST, StackSettings, service_environment
from spark_streaming.contract.schema import Source

NAME = "influxdb"
_YEAR = 365 * 24 * 3600
_SECONDS = 30


def service(settings: StackSettings) -> Service:
    """The stack's own server; `prepare` must have been there before it starts."""
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
    """Have the server program, which may take minutes once, and the folder of its data."""
    influxdb_build.ensure(settings.stocks_cache, settings.stocks_home / "logs" / "influxdb-build.log", progress, stop)
    private_folder(settings.stocks_home / "influxdb")


def is_healthy(url: str) -> bool:
    """Whether an InfluxDB answers there."""
    try:
        return requests.get(f"{url}/health", timeout=2).ok
    except requests.RequestException:
        return False


@dataclass(frozen=True)
class Tokens:
    """What may be done with one bucket."""

    write: str
    read: str


def provision(settings: StackSettings, source: Source) -> None:
    """Make the source's bucket, and keep the two tokens for it; what is there and works stays as it is.

    Raises:
        StackError: the server refused, or one that was named needs a token that was not given.
    """
    keep = Secrets(settings.stocks_home)
    kept = (keep.read(secrets.INFLUX_TOKEN, source), keep.read(secrets.INFLUX_READ_TOKEN, source))
    given = _given(settings, source)
    if settings.runs_influxdb and any(value not in (None, old) for value, old in zip(given, kept, strict=True)):
        raise StackError(
            "INFLUX_TOKEN or INFLUX_READ_TOKEN is set, but the stack's own InfluxDB makes its own tokens. Take them "
            "out of the environment and of .env, or name the server that they belong to by INFLUXDB_URL."
        )
    if settings.runs_influxdb or settings.influx_operator_token is not None:
        bucket = settings.names_of(source).bucket
        made = operator(settings).tokens_of(bucket, _shard_seconds(source), kept)
        tokens: tuple[str | None, str | None] = (made.write, made.read)
    else:
        tokens = given
    if None in tokens:
        raise StackError(
            f"INFLUXDB_URL names {settings.influxdb_url}: set INFLUX_OPERATOR_TOKEN, which may make buckets and tokens "
            "there, or INFLUX_TOKEN and INFLUX_READ_TOKEN of a bucket that is there already."
        )
    for name, value, old in zip((secrets.INFLUX_TOKEN, secrets.INFLUX_READ_TOKEN), tokens, kept, strict=True):
        if value and value != old:
            keep.write(name, value, source)


def _given(settings: StackSettings, source: Source) -> tuple[str | None, str | None]:
    """The two tokens as the settings have them: named by the user, or kept already."""
    if source is not settings.source:
        return None, None
    write, read = settings.influx_token, settings.influx_read_token
    return write.get_secret_value() if write else None, read.get_secret_value() if read else None


def operator(settings: StackSettings) -> "Operator":
    """The server by its operator token; the stack's own server is set up where that has not happened yet."""
    url = settings.effective_influxdb_url
    if not settings.runs_influxdb and settings.influx_operator_token is not None:
        return Operator(url, settings.influx_org, settings.influx_operator_token.get_secret_value())
    keep = Secrets(settings.stocks_home)
    token = keep.made(secrets.INFLUX_OPERATOR_TOKEN)
    password = keep.made(secrets.INFLUX_ADMIN_PASSWORD)
    if requests.get(f"{url}/api/v2/setup", timeout=_SECONDS).json()["allowed"]:
        # The token is ours from the start, so that an interruption right after this loses nothing.
        body = {"username": "stocks", "password": password, "org": settings.influx_org, "token": token}
        done = requests.post(f"{url}/api/v2/setup", json=body | {"bucket": "unused"}, timeout=_SECONDS)
        if not done.ok:
            raise StackError(f"InfluxDB at {url} refused its setup: {done.status_code} {done.text[:300]}")
    return Operator(url, settings.influx_org, token)


class Operator:
    """The few calls of InfluxDB's API that make buckets and tokens."""

    def __init__(self, url: str, org: str, token: str) -> None:
        self._url, self._org = url, org
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Token {token}"
        self._session.trust_env = False  # a ~/.netrc would take the header's place
        orgs = self._ask("GET", "orgs", params={"org": org})["orgs"]
        self._org_id: str = orgs[0]["id"]

    def tokens_of(self, bucket: str, shard_seconds: int, kept: tuple[str | None, str | None] = (None, None)) -> Tokens:
        """The bucket's two tokens: those of `kept` (write, read) that still hold, else new ones.

        The bucket is made where it is missing: it keeps for ever, in shards of `shard_seconds`.
        """
        bucket_id = self._bucket(bucket, shard_seconds)
        live = {a["token"]: a for a in self._ask("GET", "authorizations", params={"org": self._org})["authorizations"]}
        found = []
        for action, token in zip(("write", "read"), kept, strict=True):
            permissions = [{"action": action, "resource": {"type": "buckets", "id": bucket_id, "orgID": self._org_id}}]
            if token is None or not _grants(live.get(token), action, bucket_id):
                body = {"orgID": self._org_id, "description": f"{action} {bucket}", "permissions": permissions}
                token = self._ask("POST", "authorizations", json=body)["token"]
            found.append(token)
        return Tokens(*found)

    def _bucket(self, name: str, shard_seconds: int) -> str:
        for bucket in self._ask("GET", "buckets", params={"name": name, "org": self._org}, missing_ok=True)["buckets"]:
            return str(bucket["id"])
        rule = {"type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": shard_seconds}
        body = {"orgID": self._org_id, "name": name, "retentionRules": [rule]}
        return str(self._ask("POST", "buckets", json=body)["id"])

    def _ask(self, method: str, path: str, *, missing_ok: bool = False, **how: Any) -> Any:  # noqa: ANN401 - JSON
        answer = self._session.request(method, f"{self._url}/api/v2/{path}", timeout=_SECONDS, **how)
        if answer.status_code == requests.codes.not_found and missing_ok:
            return {"buckets": []}
        if answer.status_code == requests.codes.unauthorized:
            raise StackError(
                f"InfluxDB at {self._url} refuses the operator token. Was its data replaced? Remove the data and the "
                "secrets together, or put the right token into secrets/influx_operator_token of STOCKS_HOME."
            )
        if not answer.ok:
            raise StackError(f"InfluxDB at {self._url}: {method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


def _grants(authorization: dict[str, Any] | None, action: str, bucket_id: str) -> bool:
    if authorization is None or authorization["status"] != "active":
        return False
    granted = [(p["action"], p["resource"]["type"], p["resource"].get("id")) for p in authorization["permissions"]]
    return granted == [(action, "buckets", bucket_id)]


def _shard_seconds(source: Source) -> int:
    """Daily bars of decades would make a thousand shards of a year's week, and take minutes and file descriptors."""
    return 20 * _YEAR if source is Source.REPLAY else _YEAR
