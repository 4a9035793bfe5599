"""`stocks grafana provision` against a server that takes what Grafana's HTTP API takes, and keeps it.

The models below are its reference (folder, data source, dashboard and alerting provisioning); what they don't know is
refused.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typer.testing import CliRunner, Result

from infra.cli.main import app
from infra.grafana.provisioning import DASHBOARDS
from infra.local.secrets import Secrets
from infra.settings import StackSettings
from stock_assets.settings import CodeLocationSettings

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
    """What a Grafana keeps, by uid; and every request that it was sent."""

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
        """All that is kept."""
        models = [*self.datasources.values(), *self.points.values(), *self.groups.values()]
        return json.dumps([self.folders, self.dashboards, [m.model_dump(by_alias=True) for m in models]])


@pytest.fixture
def grafana() -> Iterator[tuple[Server, str]]:
    """The server, and its address."""
    kept = Server()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = kept.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = _do

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kept, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which `stocks up` has been."""
    monkeypatch.chdir(tmp_path)
    for name in {**CodeLocationSettings.model_fields, **StackSettings.model_fields}:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("SOURCE", "replay")
    keep = Secrets(tmp_path / ".stocks")
    keep.write("influx_read_token", "the reader's token", StackSettings().source)
    keep.write("postgres_read_password", "the reader's password")
    return tmp_path


def provision(url: str, token: str = TOKEN) -> Result:
    return CliRunner().invoke(app, ["grafana", "provision", "--url", url, "--token", token])


def test_everything_that_is_shipped_is_put_there(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    done = provision(url)
    assert done.exit_code == 0, done.output
    assert kept.folders == {"stocks": "Stocks"}
    assert kept.datasources.keys() == {"stocks-replay", "stocks-replay-facts"}
    influxdb, postgres = kept.datasources.values()
    assert influxdb.secureJsonData == {"token": "the reader's token"}
    assert influxdb.jsonData["defaultBucket"] == "stock-prices-replay"
    assert (postgres.url, postgres.user) == ("127.0.0.1:5433", "stocks_replay_reader")
    assert not influxdb.isDefault
    shipped = {json.loads(path.read_text())["uid"] for path in DASHBOARDS.glob("*.json")}
    assert kept.dashboards.keys() == shipped
    assert {rule.uid for group in kept.groups.values() for rule in group.rules} == {
        "stocks-price-moves",
        "stocks-checks-are-silent",
    }
    assert f"{url}/d/stocks-market" in done.stdout


def test_a_second_time_changes_nothing(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    provision(url)
    before, kept.requests = kept.state(), []
    assert provision(url).exit_code == 0
    assert kept.state() == before
    assert not [line for line in kept.requests if line.startswith("POST") and not line.endswith("/dashboards/db")]


def test_what_is_there_already_is_left_alone(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    kept.folders["mine"], kept.dashboards["mine"] = "Mine", {"uid": "mine"}
    assert provision(url).exit_code == 0
    assert kept.folders["mine"] == "Mine"
    assert kept.dashboards["mine"] == {"uid": "mine"}
    assert not any("policies" in line or line.startswith("DELETE") for line in kept.requests)


def test_where_alerts_go_comes_from_the_settings(
    grafana: tuple[Server, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, url = grafana
    monkeypatch.setenv("GRAFANA_ALERT_URL", "http://127.0.0.1:5000/alerts")
    assert provision(url).exit_code == 0
    [point] = kept.points.values()
    assert point.settings["url"] == "http://127.0.0.1:5000/alerts"


def test_address_and_token_may_come_from_the_settings(
    grafana: tuple[Server, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, url = grafana
    assert CliRunner().invoke(app, ["grafana", "provision"]).exit_code == 2
    monkeypatch.setenv("GRAFANA_URL", f"{url}/")
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    assert CliRunner().invoke(app, ["grafana", "provision"]).exit_code == 0
    assert kept.dashboards


def test_a_refused_token_is_told_with_the_remedy(grafana: tuple[Server, str], home: Path) -> None:
    done = provision(grafana[1], "wrong")
    assert done.exit_code == 5
    assert "service account with the role Admin" in done.stderr
    assert "wrong" not in done.stderr


def test_another_datasource_of_that_name_is_told(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    provision(url)
    kept.datasources["other"] = kept.datasources.pop("stocks-replay").model_copy(update={"uid": "other"})
    done = provision(url)
    assert done.exit_code == 5
    assert "Something else has that name there" in done.stderr


def test_an_address_that_is_no_grafana_is_told(home: Path) -> None:
    done = provision("http://127.0.0.1:9")
    assert done.exit_code == 5
    assert "does not answer" in done.stderr


def test_databases_that_grafana_can_not_reach_are_told(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    kept.unhealthy = "dial tcp 127.0.0.1:8086: connect: connection refused"
    done = provision(url)
    assert done.exit_code == 5
    assert "connection refused" in done.stderr
    assert kept.dashboards  # all is there


def test_before_the_first_start_the_remedy_is_told(
    grafana: tuple[Server, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_HOME", str(home / "other"))
    done = provision(grafana[1])
    assert done.exit_code == 1
    assert "Start the platform once with `stocks up`" in done.stderr
    assert grafana[0].requests == []
