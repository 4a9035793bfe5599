"""The provisioning files as strict models: a misspelt key is an error here, where Grafana ignores it.

The models allow less than Grafana does: only the keys that these files use.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field

from infra.grafana.strict import Duration, Strict, Text, Uid

ROOT = Path(__file__).parent
DASHBOARDS = ROOT / "dashboards"
FOLDER = ROOT / "provisioning"

_SECRET = re.compile(r"\$__file\{/run/secrets/(\w+)\}")
_VARIABLE = re.compile(r"\$(\w+)")


class InfluxDBJson(Strict):
    """Settings of an InfluxDB 2 datasource."""

    version: Literal["Flux"]
    organization: Text
    default_bucket: Text = Field(alias="defaultBucket")
    http_mode: Literal["POST"] = Field(alias="httpMode")
    time_interval: Duration = Field(alias="timeInterval")


class InfluxDBSecrets(Strict):
    """The read token."""

    token: Text


class PostgresJson(Strict):
    """Settings of a PostgreSQL datasource; `postgresVersion` is the newest that Grafana's editor knows."""

    database: Text
    sslmode: Literal["disable"]
    postgres_version: int = Field(alias="postgresVersion")
    timescaledb: bool
    max_open_conns: int = Field(alias="maxOpenConns", gt=0)
    conn_max_lifetime: int = Field(alias="connMaxLifetime", gt=0)


class PostgresSecrets(Strict):
    """The reader's password."""

    password: Text


class _Datasource(Strict):
    name: Text
    uid: Uid
    access: Literal["proxy"]
    org_id: Literal[1] = Field(alias="orgId")
    is_default: bool = Field(alias="isDefault")
    editable: Literal[False]
    url: Text


class InfluxDBDatasource(_Datasource):
    """The datasource for the bucket of one source."""

    type: Literal["influxdb"]
    json_data: InfluxDBJson = Field(alias="jsonData")
    secure_json_data: InfluxDBSecrets = Field(alias="secureJsonData")


class PostgresDatasource(_Datasource):
    """The datasource for the schema of one source."""

    type: Literal["grafana-postgresql-datasource"]
    user: Text
    json_data: PostgresJson = Field(alias="jsonData")
    secure_json_data: PostgresSecrets = Field(alias="secureJsonData")


class Datasources(Strict):
    """datasources/*.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    prune: bool
    datasources: tuple[Annotated[InfluxDBDatasource | PostgresDatasource, Field(discriminator="type")], ...]


class ProviderOptions(Strict):
    """The folder in which Grafana finds the dashboards."""

    path: Text
    folders_from_files_structure: bool = Field(alias="foldersFromFilesStructure")


class Provider(Strict):
    """A folder of dashboards."""

    name: Text
    org_id: Literal[1] = Field(alias="orgId")
    folder: Text
    folder_uid: Uid = Field(alias="folderUid")
    type: Literal["file"]
    disable_deletion: bool = Field(alias="disableDeletion")
    allow_ui_updates: bool = Field(alias="allowUiUpdates")
    update_interval_seconds: int = Field(alias="updateIntervalSeconds", ge=10)
    options: ProviderOptions


class Providers(Strict):
    """dashboards/*.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    providers: tuple[Provider, ...]


Model = TypeVar("Model", bound=Strict)


def read(path: Path, model: type[Model], values: Mapping[str, str] | None = None) -> Model:
    """Read a provisioning file; with `values`, its variables and secrets are filled in.

    `values` holds environment variables by name (`STOCKS_SOURCE`) and secrets by the names of their files
    (`influx_read_token`).

    Raises:
        pydantic.ValidationError: a key is unknown or missing, or a value has the wrong type.
        KeyError: a variable or a secret that `values` lacks.
    """
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return model.model_validate(loaded if values is None else _filled(loaded, values))


def _filled(value: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - YAML
    """Fill in all strings as Grafana does, but for the models of alerts, which it leaves unchanged."""
    if isinstance(value, dict):
        return {key: inner if key == "model" else _filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values) for inner in value]
    if not isinstance(value, str):
        return value
    with_secrets = _SECRET.sub(lambda match: values[match[1]], value)
    return with_secrets if with_secrets != value else _VARIABLE.sub(lambda match: values[match[1]], value)
