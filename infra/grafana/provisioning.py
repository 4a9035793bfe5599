"""The provisioning files as strict models: a misspelt key is an error here, where Grafana reads over it.

The models are narrower than what Grafana allows: they hold what these files use.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ROOT = Path(__file__).parent
DASHBOARDS = ROOT / "dashboards"
FOLDER = ROOT / "provisioning"

_SECRET = re.compile(r"\$__file\{/run/secrets/(\w+)\}")
_VARIABLE = re.compile(r"\$(\w+)")

Text = Annotated[str, StringConstraints(min_length=1)]
Uid = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_$-]{1,40}$")]  # Grafana's limit; `$` of a variable
Duration = Annotated[str, StringConstraints(pattern=r"^\d+[smhd]$")]
RefId = Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class InfluxDBJson(_Strict):
    """How InfluxDB 2 is asked."""

    version: Literal["Flux"]
    organization: Text
    default_bucket: Text = Field(alias="defaultBucket")
    http_mode: Literal["POST"] = Field(alias="httpMode")
    time_interval: Duration = Field(alias="timeInterval")


class InfluxDBSecrets(_Strict):
    """The reader's token."""

    token: Text


class PostgresJson(_Strict):
    """How PostgreSQL is asked; `postgresVersion` is the newest that Grafana's editor tells apart."""

    database: Text
    sslmode: Literal["disable"]
    postgres_version: int = Field(alias="postgresVersion")
    timescaledb: bool
    max_open_conns: int = Field(alias="maxOpenConns", gt=0)
    conn_max_lifetime: int = Field(alias="connMaxLifetime", gt=0)


class PostgresSecrets(_Strict):
    """The reader's password."""

    password: Text


class _Datasource(_Strict):
    name: Text
    uid: Uid
    access: Literal["proxy"]
    org_id: Literal[1] = Field(alias="orgId")
    is_default: bool = Field(alias="isDefault")
    editable: Literal[False]
    url: Text


class InfluxDBDatasource(_Datasource):
    """The bucket of one source."""

    type: Literal["influxdb"]
    json_data: InfluxDBJson = Field(alias="jsonData")
    secure_json_data: InfluxDBSecrets = Field(alias="secureJsonData")


class PostgresDatasource(_Datasource):
    """The schema of one source."""

    type: Literal["grafana-postgresql-datasource"]
    user: Text
    json_data: PostgresJson = Field(alias="jsonData")
    secure_json_data: PostgresSecrets = Field(alias="secureJsonData")


class Datasources(_Strict):
    """datasources/*.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    prune: bool
    datasources: tuple[Annotated[InfluxDBDatasource | PostgresDatasource, Field(discriminator="type")], ...]


class ProviderOptions(_Strict):
    """Where Grafana finds the dashboards."""

    path: Text
    folders_from_files_structure: bool = Field(alias="foldersFromFilesStructure")


class Provider(_Strict):
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


class Providers(_Strict):
    """dashboards/*.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    providers: tuple[Provider, ...]


class WebhookSettings(_Strict):
    """Where a webhook goes."""

    url: Text
    http_method: Literal["POST"] = Field(alias="httpMethod")


class Receiver(_Strict):
    """One way of telling."""

    uid: Uid
    type: Literal["webhook"]
    disable_resolve_message: bool = Field(alias="disableResolveMessage")
    settings: WebhookSettings


class ContactPoint(_Strict):
    """Who is told."""

    org_id: Literal[1] = Field(alias="orgId")
    name: Text
    receivers: tuple[Receiver, ...] = Field(min_length=1)


class ContactPoints(_Strict):
    """alerting/contact_points.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    contact_points: tuple[ContactPoint, ...] = Field(alias="contactPoints")


class ExpressionSource(_Strict):
    """Grafana's own arithmetic."""

    type: Literal["__expr__"]
    uid: Literal["__expr__"]


class Evaluator(_Strict):
    """What a threshold compares with."""

    type: Literal["gt", "lt"]
    params: tuple[float]


class Condition(_Strict):
    """Of a threshold."""

    evaluator: Evaluator


class ReduceSettings(_Strict):
    """What becomes of values that are no numbers."""

    mode: Literal["dropNN"]


class Reduce(_Strict):
    """A series becomes a number."""

    ref_id: RefId = Field(alias="refId")
    datasource: ExpressionSource
    type: Literal["reduce"]
    expression: RefId
    reducer: Literal["last", "max", "min", "mean"]
    settings: ReduceSettings


class Threshold(_Strict):
    """A number fires or doesn't."""

    ref_id: RefId = Field(alias="refId")
    datasource: ExpressionSource
    type: Literal["threshold"]
    expression: RefId
    conditions: tuple[Condition]


class _Query(_Strict):
    ref_id: RefId = Field(alias="refId")
    interval_ms: int = Field(alias="intervalMs", gt=0)
    max_data_points: int = Field(alias="maxDataPoints", gt=0)


class FluxQuery(_Query):
    """Asked of InfluxDB."""

    query: Text

    @property
    def text(self) -> str:
        """What is asked."""
        return self.query


class SqlQuery(_Query):
    """Asked of PostgreSQL."""

    format: Literal["table", "time_series"]
    raw_query: Literal[True] = Field(alias="rawQuery")
    editor_mode: Literal["code"] = Field(alias="editorMode")
    raw_sql: Text = Field(alias="rawSql")

    @property
    def text(self) -> str:
        """What is asked."""
        return self.raw_sql


class RelativeTimeRange(_Strict):
    """Seconds before the evaluation."""

    start: int = Field(alias="from", ge=0)
    end: int = Field(alias="to", ge=0)


class Step(_Strict):
    """A query or an expression of a rule."""

    ref_id: RefId = Field(alias="refId")
    datasource_uid: Uid = Field(alias="datasourceUid")
    relative_time_range: RelativeTimeRange = Field(alias="relativeTimeRange")
    model: Reduce | Threshold | FluxQuery | SqlQuery


class NotificationSettings(_Strict):
    """Who is told, without a say in anybody's own notification policies."""

    receiver: Text
    group_by: tuple[Text, ...] = ()


class Rule(_Strict):
    """What is watched."""

    uid: Uid
    title: Text
    condition: RefId
    pending: Duration = Field(alias="for")
    no_data_state: Literal["OK", "NoData", "Alerting", "KeepLast"] = Field(alias="noDataState")
    exec_err_state: Literal["OK", "Error", "Alerting", "KeepLast"] = Field(alias="execErrState")
    dashboard_uid: Uid = Field(alias="dashboardUid")
    panel_id: int = Field(alias="panelId", gt=0)
    annotations: Mapping[Literal["summary", "description", "__dashboardUid__", "__panelId__"], Text]
    labels: Mapping[Text, Text]
    notification_settings: NotificationSettings
    data: tuple[Step, ...] = Field(min_length=1)


class Group(_Strict):
    """Rules that are evaluated together."""

    org_id: Literal[1] = Field(alias="orgId")
    name: Text
    folder: Text
    interval: Duration
    rules: tuple[Rule, ...] = Field(min_length=1)


class Groups(_Strict):
    """alerting/rules.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    groups: tuple[Group, ...]


Model = TypeVar("Model", bound=_Strict)


def read(path: Path, model: type[Model], values: Mapping[str, str] | None = None) -> Model:
    """A file of provisioning; with `values`, its variables and secrets are filled in.

    `values` holds the environment's variables by their names (`STOCKS_SOURCE`) and secrets by the names of their files
    (`influx_read_token`).

    Raises:
        pydantic.ValidationError: a key that the model doesn't know, one that is missing, a value of another kind.
        KeyError: a variable or a secret that `values` lacks.
    """
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return model.model_validate(loaded if values is None else _filled(loaded, values))


def _filled(value: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - YAML
    """As Grafana does, in strings wherever they stand but in the models of alerts, which it takes as they are."""
    if isinstance(value, dict):
        return {key: inner if key == "model" else _filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values) for inner in value]
    if not isinstance(value, str):
        return value
    with_secrets = _SECRET.sub(lambda match: values[match[1]], value)
    return with_secrets if with_secrets != value else _VARIABLE.sub(lambda match: values[match[1]], value)
