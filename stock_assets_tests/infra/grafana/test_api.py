"""`stocks grafana install` against a test server that accepts what Grafana's HTTP API accepts."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.cli.main import app
from infra.grafana.provisioning import DASHBOARDS
from infra.host.secrets import Secrets
from infra.settings import StackSettings
from stock_assets.settings import CodeLocationSettings
from stock_assets_tests.infra.grafana.api_server import TOKEN, Server


@pytest.fixture
def grafana() -> Iterator[tuple[Server, str]]:
    """Return the server and its address."""
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
    """A home that `stocks up` has used."""
    monkeypatch.chdir(tmp_path)
    for name in {**CodeLocationSettings.model_fields, **StackSettings.model_fields}:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("SOURCE", "replay")
    keep = Secrets(tmp_path / ".stocks")
    keep.write("influx_read_token", "the reader's token", StackSettings().source)
    keep.write("postgres_read_password", "the reader's password")
    return tmp_path


def install(url: str, token: str = TOKEN) -> Result:
    return CliRunner().invoke(app, ["grafana", "install", "--url", url, "--token", token])


def test_all_shipped_files_are_installed(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    done = install(url)
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


def test_a_second_installation_changes_nothing(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    install(url)
    before, kept.requests = kept.state(), []
    assert install(url).exit_code == 0
    assert kept.state() == before
    assert not [line for line in kept.requests if line.startswith("POST") and not line.endswith("/dashboards/db")]


def test_what_exists_already_is_unchanged(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    kept.folders["mine"], kept.dashboards["mine"] = "Mine", {"uid": "mine"}
    assert install(url).exit_code == 0
    assert kept.folders["mine"] == "Mine"
    assert kept.dashboards["mine"] == {"uid": "mine"}
    assert not any("policies" in line or line.startswith("DELETE") for line in kept.requests)


def test_the_alert_address_comes_from_the_settings(
    grafana: tuple[Server, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, url = grafana
    monkeypatch.setenv("GRAFANA_ALERT_URL", "http://127.0.0.1:5000/alerts")
    assert install(url).exit_code == 0
    [point] = kept.points.values()
    assert point.settings["url"] == "http://127.0.0.1:5000/alerts"


def test_address_and_token_can_come_from_the_settings(
    grafana: tuple[Server, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, url = grafana
    assert CliRunner().invoke(app, ["grafana", "install"]).exit_code == 2
    monkeypatch.setenv("GRAFANA_URL", f"{url}/")
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    assert CliRunner().invoke(app, ["grafana", "install"]).exit_code == 0
    assert kept.dashboards


def test_a_rejected_token_is_reported_with_a_hint(grafana: tuple[Server, str], home: Path) -> None:
    done = install(grafana[1], "wrong")
    assert done.exit_code == 5
    assert "service account with the role Admin" in done.stderr
    assert "wrong" not in done.stderr


def test_another_datasource_of_that_name_is_reported(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    install(url)
    kept.datasources["other"] = kept.datasources.pop("stocks-replay").model_copy(update={"uid": "other"})
    done = install(url)
    assert done.exit_code == 5
    assert "Something else has that name there" in done.stderr


def test_an_address_without_a_grafana_is_reported(home: Path) -> None:
    done = install("http://127.0.0.1:9")
    assert done.exit_code == 5
    assert "does not answer" in done.stderr


def test_databases_that_grafana_can_not_reach_are_reported(grafana: tuple[Server, str], home: Path) -> None:
    kept, url = grafana
    kept.unhealthy = "dial tcp 127.0.0.1:8086: connect: connection refused"
    done = install(url)
    assert done.exit_code == 5
    assert "connection refused" in done.stderr
    assert kept.dashboards  # everything was installed


def test_before_the_first_start_the_message_has_the_remedy(
    grafana: tuple[Server, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_HOME", str(home / "other"))
    done = install(grafana[1])
    assert done.exit_code == 1
    assert "Start the platform once with `stocks up`" in done.stderr
    assert grafana[0].requests == []
