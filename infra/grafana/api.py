"""Puts the provisioning files into a Grafana that is installed already, through its HTTP API.

The shapes of the requests are those of Grafana's HTTP API reference: folder, data source, dashboard and alerting
provisioning. Everything has a fixed uid, so that a second time changes what the first one made.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from infra.grafana.alerting import ContactPoints, Group, Groups, Rule
from infra.grafana.provisioning import DASHBOARDS, FOLDER, Datasources, Provider, Providers, read
from infra.host.errors import Exit, StackError

_SECONDS = 30
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Grafana:
    """One server, by the token of a service account that is an administrator there."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a ~/.netrc would take the token's place
        self._session.headers["Authorization"] = f"Bearer {token}"

    def provision(self, values: Mapping[str, str]) -> Iterator[str]:
        """Make or change everything, and yield what was done, a line a thing; `values` fill in the files.

        Raises:
            StackError: the server can't be reached, or refuses; what was done before stays, and can be done again.
        """
        [provider] = read(FOLDER / "dashboards/stocks.yaml", Providers, values).providers
        yield self._folder(provider)
        for source in read(FOLDER / "datasources/stocks.yaml", Datasources, values).datasources:
            yield self._datasource(source.model_dump(by_alias=True))
        for path in sorted(DASHBOARDS.glob("*.json")):
            yield self._dashboard(json.loads(path.read_text(encoding="utf-8")), provider)
        for point in read(FOLDER / "alerting/contact_points.yaml", ContactPoints, values).contact_points:
            for receiver in point.receivers:
                yield self._receiver({"name": point.name, **receiver.model_dump(by_alias=True)})
        for group in read(FOLDER / "alerting/rules.yaml", Groups, values).groups:
            yield self._group(group, provider)

    def unreachable(self, values: Mapping[str, str]) -> Iterator[str]:
        """What keeps Grafana from asking each database, as it says itself; nothing where it can."""
        for source in read(FOLDER / "datasources/stocks.yaml", Datasources, values).datasources:
            answer = self._ask("GET", f"datasources/uid/{source.uid}/health", allowed=(400, 500))
            if answer.get("status") != "OK":
                yield f"{source.name} at {source.url}: {answer.get('message', 'no reason given')}"

    def _folder(self, provider: Provider) -> str:
        uid, title = provider.folder_uid, provider.folder
        if self._find(f"folders/{uid}") is None:
            self._ask("POST", "folders", {"uid": uid, "title": title})
        else:
            self._ask("PUT", f"folders/{uid}", {"title": title, "overwrite": True})
        return f"folder {title}"

    def _datasource(self, body: dict[str, Any]) -> str:
        # Of a Grafana that is in use already, the default stays what it was.
        body = {name: value for name, value in body.items() if name not in ("orgId", "editable")} | {"isDefault": False}
        if self._find(f"datasources/uid/{body['uid']}") is None:
            self._ask("POST", "datasources", body)
        else:
            self._ask("PUT", f"datasources/uid/{body['uid']}", body)
        return f"datasource {body['name']}"

    def _dashboard(self, dashboard: dict[str, Any], provider: Provider) -> str:
        body = {"dashboard": dashboard | {"id": None}, "folderUid": provider.folder_uid, "overwrite": True}
        self._ask("POST", "dashboards/db", body | {"message": "stocks grafana provision"})
        return f"dashboard {dashboard['title']}: {self._url}/d/{dashboard['uid']}"

    def _receiver(self, body: dict[str, Any]) -> str:
        there = self._ask("GET", "v1/provisioning/contact-points")
        if any(point["uid"] == body["uid"] for point in there):
            self._ask("PUT", f"v1/provisioning/contact-points/{body['uid']}", body)
        else:
            self._ask("POST", "v1/provisioning/contact-points", body)
        return f"contact point {body['name']}"

    def _group(self, group: Group, provider: Provider) -> str:
        rules = [_rule(rule, group, provider) for rule in group.rules]
        body = {"title": group.name, "folderUid": provider.folder_uid, "interval": _seconds(group.interval)}
        path = f"v1/provisioning/folder/{provider.folder_uid}/rule-groups/{group.name}"
        self._ask("PUT", path, body | {"rules": rules})
        return f"alert rules {group.name}: {', '.join(rule.title for rule in group.rules)}"

    def _find(self, path: str) -> Any:  # noqa: ANN401 - JSON
        return self._ask("GET", path, allowed=(404,)) or None

    def _ask(self, method: str, path: str, body: object = None, *, allowed: tuple[int, ...] = ()) -> Any:  # noqa: ANN401
        url = f"{self._url}/api/{path}"
        try:
            answer = self._session.request(method, url, json=body, timeout=_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise StackError(
                f"Grafana at {self._url} does not answer ({type(error).__name__}): is it running, and is that the "
                "address that --url or GRAFANA_URL should name?", Exit.SERVICE_FAILED,
            ) from None  # fmt: skip
        if answer.status_code == 404 and 404 in allowed:
            return None
        if not answer.ok and answer.status_code not in allowed:
            raise StackError(_refusal(self._url, method, path, answer), Exit.SERVICE_FAILED)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise StackError(
                f"{url} answers something else than Grafana does: is {self._url} all of its address?",
                Exit.SERVICE_FAILED,
            ) from None


def _rule(rule: Rule, group: Group, provider: Provider) -> dict[str, Any]:
    values = rule.model_dump(by_alias=True, exclude={"dashboard_uid", "panel_id"})  # the annotations say the same
    return values | {"orgID": group.org_id, "folderUID": provider.folder_uid, "ruleGroup": group.name}


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _refusal(url: str, method: str, path: str, answer: requests.Response) -> str:
    remedy = {
        401: "The token is not valid there: make one for a service account with the role Admin (Administration, Users "
        "and access, Service accounts), and give it by --token or GRAFANA_TOKEN.",
        403: "The token's service account may not do this: give it the role Admin. What Grafana's own provisioning "
        "files have made can be changed there alone.",
        404: "Is this all of Grafana's address, with its path?",
        409: "Something else has that name there: rename or delete it, and try again.",
        412: "Something else has that name there: rename or delete it, and try again.",
    }.get(answer.status_code, "")
    return (
        f"Grafana at {url} refused {method} {path}: {answer.status_code} {answer.text[:500].strip()} {remedy}".strip()
    )
