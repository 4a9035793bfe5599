"""A test server that accepts what Grafana's HTTP API accepts, and keeps it.

The models below follow its reference (folder, data source, dashboard and alerting provisioning) and reject anything
else.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

TOKEN = "glsa_of_an_administrator"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewFolder(Strict):
    uid: str = Field(max_length=40)
    title: str = Field(min_length=1)
    parentUid: str | None = None


class ChangedFolder(Strict):
    title: str
    version: int | None = None
    overwrite: bool = False


class DataSource(Strict):
    name: str
    type: Literal["influxdb", "grafana-postgresql-datasource"]
    uid: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,40}$")
    access: Literal["proxy", "direct"]
    url: str
    user: str = ""
    database: str = ""
    basicAuth: bool = False
    isDefault: bool = False
    jsonData: dict[str, Any]
    secureJsonData: dict[str, str]


class SavedDashboard(Strict):
    dashboard: dict[str, Any]
    folderUid: str
    message: str = ""
    overwrite: bool = False


class ContactPoint(Strict):
    uid: str = Field(min_length=1, max_length=40, pattern=r"^[a-zA-Z0-9_-]+$")
    name: str = Field(min_length=1)
    type: Literal["webhook"]
    settings: dict[str, Any]
    disableResolveMessage: bool = False


class TimeRange(Strict):
    start: int = Field(alias="from")
    end: int = Field(alias="to")


class Query(Strict):
    refId: str
    queryType: str = ""
    relativeTimeRange: TimeRange
    datasourceUid: str
    model: dict[str, Any]


class Notification(Strict):
    receiver: str
    group_by: list[str] = []


class ProvisionedRule(Strict):
    uid: str
    orgID: int
    folderUID: str
    ruleGroup: str = Field(max_length=190)
    title: str = Field(max_length=190)
    condition: str
    data: list[Query]
    noDataState: Literal["Alerting", "NoData", "OK", "KeepLast"]
    execErrState: Literal["OK", "Alerting", "Error", "KeepLast"]
    pending: str = Field(alias="for", pattern=r"^\d+[smhd]$")
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}
    isPaused: bool = False
    notification_settings: Notification | None = None


class RuleGroup(Strict):
    title: str
    folderUid: str
    interval: int = Field(gt=0, multiple_of=10)
    rules: list[ProvisionedRule]


Answer = tuple[int, Any]


class Server:
    """The content of a Grafana, by uid, and every request that it received."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}
        self.datasources: dict[str, DataSource] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.points: dict[str, ContactPoint] = {}
        self.groups: dict[tuple[str, str], RuleGroup] = {}
        self.requests: list[str] = []
        self.unhealthy: str | None = None

    def answer(self, method: str, path: str, token: str, body: bytes) -> Answer:
        self.requests.append(f"{method} {path}")
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key"}
        for pattern, act in self._routes().items():
            if match := re.fullmatch(pattern, f"{method} {path}"):
                try:
                    return act(*match.groups(), *([body.decode()] if method in ("POST", "PUT") else []))
                except ValidationError as error:
                    return 400, {"message": str(error)}
        return 404, {"message": "Not found"}

    def _routes(self) -> dict[str, Callable[..., Answer]]:
        provisioning = "/api/v1/provisioning"
        return {
            "GET /api/folders/([^/]+)": lambda uid: self._found(self.folders.get(uid)),
            "POST /api/folders": self._new_folder,
            "PUT /api/folders/([^/]+)": self._changed_folder,
            "GET /api/datasources/uid/([^/]+)": lambda uid: self._found(self.datasources.get(uid)),
            "GET /api/datasources/uid/([^/]+)/health": self._health,
            "POST /api/datasources": self._new_datasource,
            "PUT /api/datasources/uid/([^/]+)": self._changed_datasource,
            "POST /api/dashboards/db": self._dashboard,
            f"GET {provisioning}/contact-points": lambda: (200, [p.model_dump() for p in self.points.values()]),
            f"POST {provisioning}/contact-points": self._point,
            f"PUT {provisioning}/contact-points/([^/]+)": self._changed_point,
            f"PUT {provisioning}/folder/([^/]+)/rule-groups/([^/]+)": self._group,
        }

    def _found(self, thing: object) -> Answer:
        return (200, {"uid": "…"}) if thing is not None else (404, {"message": "not found"})

    def _new_folder(self, body: str) -> Answer:
        folder = NewFolder.model_validate_json(body)
        if folder.uid in self.folders:
            return 409, {"message": "a folder with that UID already exists"}
        self.folders[folder.uid] = folder.title
        return 200, {"uid": folder.uid}

    def _changed_folder(self, uid: str, body: str) -> Answer:
        folder = ChangedFolder.model_validate_json(body)
        if not folder.overwrite and folder.version is None:
            return 412, {"message": "the folder has been changed by someone else"}
        self.folders[uid] = folder.title
        return 200, {"uid": uid}

    def _new_datasource(self, body: str) -> Answer:
        source = DataSource.model_validate_json(body)
        if source.name in {other.name for other in self.datasources.values()}:
            return 409, {"message": "data source with the same name already exists"}
        self.datasources[source.uid] = source
        return 200, {"message": "Datasource added"}

    def _changed_datasource(self, uid: str, body: str) -> Answer:
        self.datasources[uid] = DataSource.model_validate_json(body)
        return 200, {"message": "Datasource updated"}

    def _health(self, uid: str) -> Answer:
        return (400, {"status": "ERROR", "message": self.unhealthy}) if self.unhealthy else (200, {"status": "OK"})

    def _dashboard(self, body: str) -> Answer:
        saved = SavedDashboard.model_validate_json(body)
        uid = saved.dashboard["uid"]
        if saved.dashboard["id"] is not None or saved.folderUid not in self.folders:
            return 404, {"message": "Dashboard not found"}
        if uid in self.dashboards and not saved.overwrite:
            return 412, {"message": "A dashboard with the same uid already exists", "status": "name-exists"}
        self.dashboards[uid] = saved.dashboard
        return 200, {"uid": uid, "status": "success"}

    def _point(self, body: str) -> Answer:
        point = ContactPoint.model_validate_json(body)
        if point.uid in self.points:
            return 409, {"message": "contact point with this uid already exists"}
        self.points[point.uid] = point
        return 202, point.model_dump()

    def _changed_point(self, uid: str, body: str) -> Answer:
        if uid not in self.points:
            return 404, {"message": "contact point not found"}
        self.points[uid] = ContactPoint.model_validate_json(body)
        return 202, {"message": "contactpoint updated"}

    def _group(self, folder: str, name: str, body: str) -> Answer:
        group = RuleGroup.model_validate_json(body)
        if folder not in self.folders or (group.folderUid, group.title) != (folder, name):
            return 400, {"message": "the group is of another folder"}
        for rule in group.rules:
            known = {*self.datasources, "__expr__"}
            if (rule.folderUID, rule.ruleGroup) != (folder, name) or {q.datasourceUid for q in rule.data} - known:
                return 400, {"message": f"invalid alert rule {rule.uid}"}
            if rule.notification_settings and rule.notification_settings.receiver not in self._receivers():
                return 400, {"message": f"receiver {rule.notification_settings.receiver} does not exist"}
        self.groups[folder, name] = group
        return 200, {"title": name}

    def _receivers(self) -> set[str]:
        return {point.name for point in self.points.values()}

    def state(self) -> str:
        """Return the whole content as JSON."""
        models = [*self.datasources.values(), *self.points.values(), *self.groups.values()]
        return json.dumps([self.folders, self.dashboards, [m.model_dump(by_alias=True) for m in models]])
