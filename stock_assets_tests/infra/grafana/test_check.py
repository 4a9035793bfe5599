"""The dashboards checked with Grafana's own types and code, and tests that this check finds faults."""

import json
import random
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from infra.bench.grafana_queries import Language, Query, View, filled, interval_of, load, panels_of, queries_of
from infra.grafana.alerting import Rule
from infra.grafana.provisioning import DASHBOARDS
from stock_assets_tests.infra.grafana.node import CHECK, needs_node, run_node
from stock_assets_tests.infra.grafana.test_provisioning import rules

FILES = sorted(DASHBOARDS.glob("*.json"))
BROKEN = sorted((CHECK / "broken").glob("*.json"))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@cache
def faults() -> dict[str, list[str]]:
    found: dict[str, list[str]] = run_node("check.mjs", "--json", CHECK / "sound.json", *FILES, *BROKEN, codes=(0, 1))
    return found


@needs_node
@pytest.mark.parametrize("file", [CHECK / "sound.json", *FILES], ids=lambda file: file.stem)
def test_a_sound_dashboard_is_accepted(file: Path) -> None:
    assert faults()[file.name] == []


@needs_node
@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_a_broken_dashboard_is_refused(file: Path) -> None:
    assert faults()[file.name] != []


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_a_broken_dashboard_has_one_fault_only(file: Path) -> None:
    assert len(differences(json.loads((CHECK / "sound.json").read_text()), json.loads(file.read_text()))) == 1


def differences(one: object, other: object) -> list[str]:
    """Return the smallest parts in which two values differ."""
    if isinstance(one, dict) and isinstance(other, dict) and len(one.keys() ^ other.keys()) == 0:
        return [d for key in one for d in differences(one[key], other[key])]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other) and sorted_(one) != sorted_(other):
        return [d for left, right in zip(one, other, strict=True) for d in differences(left, right)]
    return [] if one == other else [f"{one} {other}"]


def sorted_(values: list[object]) -> list[str]:
    return sorted(json.dumps(value) for value in values)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_has_the_uid_that_links_use(file: Path) -> None:
    assert load(file)["uid"] == f"stocks-{file.stem}"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.uid)
def test_a_rule_belongs_to_an_existing_panel(rule: Rule) -> None:
    panels = {load(file)["uid"]: {panel["id"] for panel in panels_of(load(file))} for file in FILES}
    assert rule.panel_id in panels[rule.dashboard_uid]
    assert rule.annotations["__dashboardUid__"] == rule.dashboard_uid
    assert rule.annotations["__panelId__"] == str(rule.panel_id)


@needs_node
def test_intervals_are_rounded_as_grafana_does() -> None:
    generator = random.Random(7)
    ranges = [(round(10 ** generator.uniform(5, 12)), generator.choice((300, 500, 1000, 1500)), least) for least in
              ("1s", "5s", "1h") for _ in range(200)]  # fmt: skip
    intervals = []
    for milliseconds, points, least in ranges:
        query = Query("", "", "A", Language.FLUX, "", points, timedelta(seconds={"1s": 1, "5s": 5, "1h": 3600}[least]))
        view = View(NOON, NOON + timedelta(milliseconds=milliseconds), "", "", {})
        intervals.append(interval_of(query, view).total_seconds() * 1000)
    assert intervals == run_node("interval.mjs", given=ranges)


VIEW = View(NOON - timedelta(days=5), NOON, "stock-prices", "stocks", {"symbol": ["BRK.B", "O'X"], "interval": "2m"})


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (Language.FLUX, 'r.interval == "$interval"', 'r.interval == "2m"'),
        (Language.FLUX, "r.symbol =~ /^${symbol:regex}$/", r"r.symbol =~ /^(BRK\.B|O'X)$/"),
        (Language.FLUX, "range(start: v.timeRangeStart)", "range(start: 2026-11-19T12:00:00.000Z)"),
        (Language.FLUX, "every: v.windowPeriod", "every: 300s"),
        (Language.FLUX, "from(bucket: v.defaultBucket)", 'from(bucket: "stock-prices")'),
        (Language.SQL, "symbol IN (${symbol:sqlstring})", "symbol IN ('BRK.B','O''X')"),
        (Language.SQL, "$__timeFilter(t)", "t BETWEEN '2026-11-19T12:00:00.000Z' AND '2026-11-24T12:00:00.000Z'"),
        (Language.SQL, "$__timeTo()::timestamptz", "'2026-11-24T12:00:00.000Z'::timestamptz"),
    ],
)
def test_variables_and_macros_are_filled_in(language: Language, text: str, expected: str) -> None:
    assert filled(Query("", "", "A", language, text), VIEW) == expected


def test_an_unknown_variable_is_an_error() -> None:
    with pytest.raises(KeyError):
        filled(Query("", "", "A", Language.SQL, "SELECT '$symbols'"), VIEW)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_macro_ends_at_its_first_parenthesis(file: Path) -> None:
    """Grafana parses `$__timeFilter(coalesce(a, b))` as `$__timeFilter(coalesce(a, b)` and a rest."""
    for query in queries_of(load(file)):
        for piece in query.text.split("$__timeFilter(")[1:]:
            assert "(" not in piece.split(")")[0], query.name


def test_the_versions_are_exact_and_the_lockfile_names_no_registry() -> None:
    wanted = json.loads((CHECK / "package.json").read_text())["dependencies"]
    locked = json.loads((CHECK / "package-lock.json").read_text())["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert not any("resolved" in package for package in locked.values())
    assert all("integrity" in package for name, package in locked.items() if name)


def test_every_query_defines_a_session_in_the_same_way() -> None:
    """Several queries hold the definition; one of them is tested on 1-minute bars in the databases."""
    queries = [query.text for file in FILES for query in queries_of(load(file)) if "// A session begins" in query.text]
    definitions = {
        text.replace(" and r.symbol =~ /^${symbol:regex}$/", "").split("// A first session")[0] for text in queries
    }
    assert len(queries) == 4
    assert len(definitions) == 1
