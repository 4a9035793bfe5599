"""Installs the provisioning files into an existing Grafana, through its HTTP API.

The requests follow Grafana's HTTP API reference: folder, data source, dashboard and alerting provisioning. Everything
has a fixed uid, so that a second installation updates the first.
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
    """A client of one server, with the token of a service account that has the role Admin there."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # else a ~/.netrc would replace the token
        self._session.headers["Authorization"] = f"Bearer {token}"

    def install(self, values: Mapping[str, str]) -> Iterator[str]:
        """Create or update everything, and yield a line for each; `values` fill in the variables of the files.

        Raises:
            StackError: the server can't be reached, or rejects a request; what was done before it stays, and it is safe
                to run this again.
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
        """Yield, for each database that Grafana can't query, the reason that Grafana gives."""
        for source in read(FOLDER / "datasources/stocks.yaml", Datasources, values).datasources:
            health = self._request("GET", f"datasources/uid/{source.uid}/health", allowed=(400, 500))
            if health.get("status") != "OK":
                yield f"{source.name} at {source.url}: {health.get('message', 'no reason given')}"

    def _folder(self, provider: Provider) -> str:
        uid, title = provider.folder_uid, provider.folder
        if self._find(f"folders/{uid}") is None:
            self._request("POST", "folders", {"uid": uid, "title": title})
        else:
            self._request("PUT", f"folders/{uid}", {"title": title, "overwrite": True})
        return f"folder {title}"

    def _datasource(self, body: dict[str, Any]) -> str:
        # Of a Grafana that is in use already, the default stays what it was.
        body = {name: value for name, value in body.items() if name not in ("orgId", "editable")} | {"isDefault": False}
        if self._find(f"datasources/uid/{body['uid']}") is None:
            self._request("POST", "datasources", body)
        else:
            self._request("PUT", f"datasources/uid/{body['uid']}", body)
        return f"datasource {body['name']}"

    def _dashboard(self, dashboard: dict[str, Any], provider: Provider) -> str:
        body = {"dashboard": dashboard | {"id": None}, "folderUid": provider.folder_uid, "overwrite": True}
        self._request("POST", "dashboards/db", body | {"message": "stocks grafana install"})
        return f"dashboard {dashboard['title']}: {self._url}/d/{dashboard['uid']}"

    def _receiver(self, body: dict[str, Any]) -> str:
        there = self._request("GET", "v1/provisioning/contact-points")
        if any(point["uid"] == body["uid"] for point in there):
            self._request("PUT", f"v1/provisioning/contact-points/{body['uid']}", body)
        else:
            self._request("POST", "v1/provisioning/contact-points", body)
        return f"contact point {body['name']}"

    def _group(self, group: Group, provider: Provider) -> str:
        rules = [_rule(rule, group, provider) for rule in group.rules]
        body = {"title": group.name, "folderUid": provider.folder_uid, "interval": _seconds(group.interval)}
        path = f"v1/provisioning/folder/{provider.folder_uid}/rule-groups/{group.name}"
        self._request("PUT", path, body | {"rules": rules})
        return f"alert rules {group.name}: {', '.join(rule.title for rule in group.rules)}"

    def _find(self, path: str) -> Any:  # noqa: ANN401 - JSON
        return self._request("GET", path, allowed=(404,)) or None

    def _request(self, method: str, path: str, body: object = None, *, allowed: tuple[int, ...] = ()) -> Any:  # noqa: ANN401
        url = f"{self._url}/api/{path}"
        try:
            response = self._session.request(method, url, json=body, timeout=_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise StackError(
                f"Grafana at {self._url} does not answer ({type(error).__name__}): is it running, and is that the "
                "address that --url or GRAFANA_URL should name?", Exit.SERVICE_FAILED,
            ) from None  # fmt: skip
        if response.status_code == 404 and 404 in allowed:
            return None
        if not response.ok and response.status_code not in allowed:
            raise StackError(_rejection(self._url, method, path, response), Exit.SERVICE_FAILED)
        try:
            return response.json() if response.content else None
        except ValueError:
            raise StackError(
                f"{url} does not answer as Grafana does: is {self._url} its complete address?", Exit.SERVICE_FAILED
            ) from None


def _rule(rule: Rule, group: Group, provider: Provider) -> dict[str, Any]:
    values = rule.model_dump(by_alias=True, exclude={"dashboard_uid", "panel_id"})  # the annotations hold the same
    return values | {"orgID": group.org_id, "folderUID": provider.folder_uid, "ruleGroup": group.name}


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _rejection(url: str, method: str, path: str, response: requests.Response) -> str:
    hint = {
        401: "The token is not valid there: make one for a service account with the role Admin (Administration, Users "
        "and access, Service accounts), and give it by --token or GRAFANA_TOKEN.",
        403: "The token's service account may not do this: give it the role Admin. What was created by Grafana's own "
        "provisioning files can be changed there only.",
        404: "Is this Grafana's complete address, with its path?",
        409: "Something else has that name there: rename or delete it, and try again.",
        412: "Something else has that name there: rename or delete it, and try again.",
    }.get(response.status_code, "")
    text = response.text[:500].strip()
    return f"Grafana at {url} rejected {method} {path}: {response.status_code} {text} {hint}".strip()
