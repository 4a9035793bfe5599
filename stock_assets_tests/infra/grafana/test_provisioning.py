"""The provisioning files checked by strict models, and against each other: Grafana itself ignores a misspelt key."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from infra.grafana.alerting import (
    ContactPoints,
    FluxQuery,
    Groups,
    NotificationSettings,
    Reduce,
    Rule,
    SqlQuery,
    Threshold,
)
from infra.grafana.provisioning import FOLDER, Datasources, Providers, read
from spark_streaming.contract.schema import MEASUREMENT

VALUES = {
    "STOCKS_SOURCE": "replay",
    "STOCKS_INFLUXDB_URL": "http://influxdb:8086",
    "STOCKS_INFLUXDB_ORG": "stocks",
    "STOCKS_INFLUXDB_BUCKET": "stock-prices-replay",
    "STOCKS_POSTGRES_ADDRESS": "postgres:5432",
    "STOCKS_POSTGRES_DATABASE": "stocks",
    "STOCKS_POSTGRES_READER": "stocks_replay_reader",
    "STOCKS_ALERT_URL": "http://127.0.0.1:9/alerts",
    "influx_read_token": "a token$",
    "postgres_read_password": "a password",
}
FILES: dict[str, type[BaseModel]] = {
    "datasources/stocks.yaml": Datasources,
    "dashboards/stocks.yaml": Providers,
    "alerting/contact_points.yaml": ContactPoints,
    "alerting/rules.yaml": Groups,
}


def rules() -> list[Rule]:
    return [rule for group in read(FOLDER / "alerting/rules.yaml", Groups, VALUES).groups for rule in group.rules]


def test_every_file_has_a_model() -> None:
    assert {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()} == FILES.keys()


def test_the_datasources_are_those_of_the_source_in_use() -> None:
    influxdb, postgres = read(FOLDER / "datasources/stocks.yaml", Datasources, VALUES).datasources
    assert (influxdb.uid, postgres.uid) == ("stocks-replay", "stocks-replay-facts")
    assert influxdb.type == "influxdb"
    assert influxdb.json_data.default_bucket == "stock-prices-replay"
    assert influxdb.secure_json_data.token == "a token$"  # variables in a secret are not replaced
    assert postgres.type == "grafana-postgresql-datasource"
    assert postgres.user == "stocks_replay_reader"


def test_a_variable_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="STOCKS_INFLUXDB_URL"):
        read(FOLDER / "datasources/stocks.yaml", Datasources, {"STOCKS_SOURCE": "replay"})


@pytest.mark.parametrize("file", FILES)
def test_a_misspelt_key_is_rejected_everywhere(file: str, tmp_path: Path) -> None:
    def spoil(value: Any) -> int:
        """Add a wrong key to each mapping in turn; return the number of mappings."""
        tried = 0
        if isinstance(value, dict):
            value["misspelt"] = 1
            with pytest.raises(ValidationError):
                written()
            del value["misspelt"]
            tried += 1
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            tried += spoil(inner)
        return tried

    def written() -> None:
        (tmp_path / "spoilt.yaml").write_text(yaml.safe_dump(loaded))
        read(tmp_path / "spoilt.yaml", FILES[file])  # type: ignore[type-var]

    loaded = yaml.safe_load((FOLDER / file).read_text())
    written()
    assert spoil(loaded) >= 3


def test_every_uid_is_unique() -> None:
    datasources = [d.uid for d in read(FOLDER / "datasources/stocks.yaml", Datasources, VALUES).datasources]
    receivers = [
        r.uid for c in read(FOLDER / "alerting/contact_points.yaml", ContactPoints).contact_points for r in c.receivers
    ]
    found = [*datasources, *receivers, *(rule.uid for rule in rules())]
    assert len(set(found)) == len(found)
    assert all(len(uid) <= 40 for uid in found)


def test_rules_are_in_the_folder_of_the_dashboards() -> None:
    (provider,) = read(FOLDER / "dashboards/stocks.yaml", Providers).providers
    groups = read(FOLDER / "alerting/rules.yaml", Groups).groups
    assert {group.folder for group in groups} == {provider.folder}
    assert len({group.name for group in groups}) == len(groups)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.uid)
def test_a_rule_uses_an_existing_contact_point(rule: Rule) -> None:
    names = {point.name for point in read(FOLDER / "alerting/contact_points.yaml", ContactPoints).contact_points}
    assert rule.notification_settings.receiver in names


def test_a_grouping_that_grafana_would_reject_is_rejected() -> None:
    with pytest.raises(ValidationError, match="grafana_folder and alertname"):
        NotificationSettings(receiver="stocks", group_by=("alertname", "symbol"))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.uid)
def test_the_steps_of_a_rule_lead_from_a_datasource_to_its_condition(rule: Rule) -> None:
    types = {d.uid: d.type for d in read(FOLDER / "datasources/stocks.yaml", Datasources, VALUES).datasources}
    before: set[str] = set()
    for step in rule.data:
        assert step.ref_id == step.model.ref_id
        assert step.ref_id not in before
        if isinstance(step.model, Reduce | Threshold):
            assert step.datasource_uid == step.model.datasource.uid
            assert step.model.expression in before
        else:
            kind = {"influxdb": FluxQuery, "grafana-postgresql-datasource": SqlQuery}[types[step.datasource_uid]]
            assert isinstance(step.model, kind)
            assert "$" not in step.model.text  # some versions of Grafana would replace it
        before.add(step.ref_id)
    assert rule.condition == rule.data[-1].ref_id


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.uid)
def test_a_rule_that_reads_bars_names_their_measurement(rule: Rule) -> None:
    for step in rule.data:
        if isinstance(step.model, FluxQuery):
            assert f'"{MEASUREMENT}"' in step.model.query
