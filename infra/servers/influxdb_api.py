"""InfluxDB's API, as far as buckets and tokens need it."""

from dataclasses import dataclass
from typing import Any

import requests

from infra.host.errors import Exit, StackError

_SECONDS = 30


@dataclass(frozen=True)
class Tokens:
    """The tokens that can write and read one bucket."""

    write: str
    read: str


def is_healthy(url: str) -> bool:
    """Return whether an InfluxDB at `url` is healthy."""
    try:
        return session().get(f"{url}/health", timeout=2).ok
    except requests.RequestException:
        return False


def session(token: str | None = None) -> requests.Session:
    """Return an HTTP session that uses neither the environment's proxies nor ~/.netrc."""
    made = requests.Session()
    made.trust_env = False
    if token is not None:
        made.headers["Authorization"] = f"Token {token}"
    return made


def token_problem(url: str, org: str, bucket: str, tokens: Tokens) -> str | None:
    """Return why one of the tokens can't write or read the bucket; None if both work. Nothing is written.

    Raises:
        requests.RequestException: the server does not answer.
    """
    where = {"org": org, "bucket": bucket, "precision": "s"}
    written = session(tokens.write).post(f"{url}/api/v2/write", params=where, data=b"", timeout=_SECONDS)
    if not written.ok:
        return f"INFLUX_TOKEN can't write {bucket} of {org} there: {written.status_code} {written.text[:200].strip()}"
    seen = session(tokens.read).get(f"{url}/api/v2/buckets", params={"name": bucket}, timeout=_SECONDS)
    if not seen.ok or not seen.json()["buckets"]:
        return f"INFLUX_READ_TOKEN can't read {bucket} there: {seen.status_code}"
    return None


class Operator:
    """The calls of InfluxDB's API that create buckets and tokens; each raises StackError if the server rejects it."""

    def __init__(self, url: str, org: str, token: str, remedy: str = "") -> None:
        """Find the organization; `remedy` ends the message of a rejected token."""
        self._url, self._org, self._remedy = url, org, remedy
        self._session = session(token)
        orgs = self._ask("GET", "orgs", params={"org": org}, missing={"orgs": []})["orgs"]
        if not orgs:
            raise StackError(
                f"InfluxDB at {url} knows no organization {org}, or the operator token may not see it. Set INFLUX_ORG.",
                Exit.INFLUXDB_UNUSABLE,
            )
        self._org_id: str = orgs[0]["id"]

    def tokens_of(self, bucket: str, shard_seconds: int, kept: tuple[str | None, str | None] = (None, None)) -> Tokens:
        """Return the bucket's two tokens: those of `kept` (write, read) that are still valid, else new ones.

        A missing bucket is created: it keeps points for ever, in shards of `shard_seconds`.
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
        there = self._ask("GET", "buckets", params={"name": name, "org": self._org}, missing={"buckets": []})
        if there["buckets"]:
            return str(there["buckets"][0]["id"])
        rule = {"type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": shard_seconds}
        body = {"orgID": self._org_id, "name": name, "retentionRules": [rule]}
        return str(self._ask("POST", "buckets", json=body)["id"])

    def _ask(self, method: str, path: str, *, missing: Any = None, **how: Any) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = self._session.request(method, f"{self._url}/api/v2/{path}", timeout=_SECONDS, **how)
        except requests.RequestException as error:
            raise StackError(f"InfluxDB at {self._url} does not answer: {error}", Exit.INFLUXDB_UNUSABLE) from error
        if answer.status_code == requests.codes.not_found and missing is not None:
            return missing
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise StackError(
                f"InfluxDB at {self._url} refuses the operator token ({method} {path}: {answer.status_code}). "
                f"{self._remedy}".strip(), Exit.INFLUXDB_UNUSABLE,
            )  # fmt: skip
        if not answer.ok:
            raise StackError(
                f"InfluxDB at {self._url}: {method} {path}: {answer.status_code} {answer.text[:300]}",
                Exit.INFLUXDB_UNUSABLE,
            )
        return answer.json()


def _grants(authorization: dict[str, Any] | None, action: str, bucket_id: str) -> bool:
    if authorization is None or authorization["status"] != "active":
        return False
    granted = [(p["action"], p["resource"]["type"], p["resource"].get("id")) for p in authorization["permissions"]]
    return granted == [(action, "buckets", bucket_id)]
