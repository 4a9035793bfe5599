"""A running Grafana, where GRAFANA_URL names one: it has the shipped files, and its datasources answer.

GRAFANA_TOKEN is that of a service account with the right to read. These tests have never run, because no Grafana was
available.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.bench.grafana_queries import Language, Query, View, filled, load, queries_of
from infra.grafana.provisioning import DASHBOARDS
from stock_assets_tests.infra.grafana.test_provisioning import rules

URL = os.environ.get("GRAFANA_URL", "").rstrip("/")
SOURCE = os.environ.get("SOURCE", "yahoo")

pytestmark = pytest.mark.skipif(not URL, reason="GRAFANA_URL names no Grafana")

FILES = sorted(DASHBOARDS.glob("*.json"))


@pytest.fixture
def grafana() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {os.environ['GRAFANA_TOKEN']}"
        yield session


def get(grafana: requests.Session, path: str) -> Any:
    response = grafana.get(f"{URL}/api/{path}", timeout=30)
    assert response.ok, f"{path}: {response.status_code} {response.text[:500]}"
    return response.json()


@pytest.mark.parametrize("uid", [f"stocks-{SOURCE}", f"stocks-{SOURCE}-facts"])
def test_a_datasource_is_healthy(grafana: requests.Session, uid: str) -> None:
    assert get(grafana, f"datasources/uid/{uid}/health")["status"] == "OK"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_has_the_shipped_panels(grafana: requests.Session, file: Path) -> None:
    shipped = load(file)
    installed = get(grafana, f"dashboards/uid/{shipped['uid']}")["dashboard"]
    assert [panel["title"] for panel in installed["panels"]] == [panel["title"] for panel in shipped["panels"]]


def test_the_rules_are_there(grafana: requests.Session) -> None:
    there = {rule["uid"] for rule in get(grafana, "v1/provisioning/alert-rules")}
    assert {rule.uid for rule in rules()} <= there


@pytest.mark.parametrize("query", [q for file in FILES for q in queries_of(load(file))], ids=lambda query: query.name)
def test_a_query_is_answered(grafana: requests.Session, query: Query) -> None:
    now = datetime.now(UTC)
    variables = {
        "source": f"stocks-{SOURCE}",
        "symbol": ["AAPL"],
        "interval": "1d",
        "sessions_from": "2100-01-01T00:00:00Z",
    }
    view = View(now - timedelta(days=5), now, "", "", variables)
    flux = query.language is Language.FLUX
    text = filled(query, view).replace('from(bucket: "")', "from(bucket: v.defaultBucket)")
    asked = {"query": text} if flux else {"rawSql": text, "format": "table", "rawQuery": True}
    source = {"uid": f"stocks-{SOURCE}" if flux else f"stocks-{SOURCE}-facts"}
    body = {
        "from": "now-5d",
        "to": "now",
        "queries": [{"refId": "A", "datasource": source, "maxDataPoints": 1000, **asked}],
    }
    answer = grafana.post(f"{URL}/api/ds/query", json=body, timeout=60)
    assert answer.ok, answer.text[:500]
    assert "error" not in answer.json()["results"]["A"], answer.text[:500]
