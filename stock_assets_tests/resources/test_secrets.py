"""A resource has its secret in every run, and Dagster's UI has it nowhere."""

import json

import dagster as dg
import pytest
from pydantic import SecretStr

from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import CodeLocationSettings
from stock_assets_tests.services.fixtures import no_settings_around

SECRETS = {"postgres_password": SecretStr("open-sesame"), "influx_read_token": SecretStr("read-me-not")}


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> CodeLocationSettings:
    with no_settings_around(tmp_path_factory.mktemp("home")):
        return CodeLocationSettings.model_validate(SECRETS)


def test_a_run_has_the_secrets_though_no_environment_has(settings: CodeLocationSettings) -> None:
    found: list[str | None] = []

    @dg.asset
    def reading(influxdb: InfluxDBResource, postgres: PostgresResource) -> None:
        found.append(influxdb._token.get_secret_value())
        found.append(postgres.engine.url.password)

    resources = {
        "influxdb": InfluxDBResource.from_settings(settings),
        "postgres": PostgresResource.from_settings(settings),
    }
    assert dg.materialize([reading], resources=resources).success
    assert found == ["read-me-not", "open-sesame"]


def test_one_that_was_made_for_other_settings_keeps_its_own(settings: CodeLocationSettings) -> None:
    first = InfluxDBResource.from_settings(settings)
    other = settings.model_copy(update={"influx_read_token": SecretStr("another")})
    assert InfluxDBResource.from_settings(other)._token.get_secret_value() == "another"
    assert first._token.get_secret_value() == "read-me-not"


def test_no_secret_is_in_what_dagster_shows(settings: CodeLocationSettings) -> None:
    resources = {
        "influxdb": InfluxDBResource.from_settings(settings),
        "postgres": PostgresResource.from_settings(settings),
    }
    repository = dg.Definitions(resources=resources).get_repository_def()
    for name, resource in repository.get_top_level_resources().items():
        shown = json.dumps(resource.config_schema.default_value) + repr(resources[name]) + str(resources[name])
        assert not any(secret.get_secret_value() in shown for secret in SECRETS.values())
