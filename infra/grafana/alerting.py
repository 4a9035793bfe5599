"""The files of `provisioning/alerting` as strict models, which hold what those files use."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from infra.grafana.strict import Duration, RefId, Strict, Text, Uid


class WebhookSettings(Strict):
    """Where a webhook goes."""

    url: Text
    http_method: Literal["POST"] = Field(alias="httpMethod")


class Receiver(Strict):
    """One way of telling."""

    uid: Uid
    type: Literal["webhook"]
    disable_resolve_message: bool = Field(alias="disableResolveMessage")
    settings: WebhookSettings


class ContactPoint(Strict):
    """Who is told."""

    org_id: Literal[1] = Field(alias="orgId")
    name: Text
    receivers: tuple[Receiver, ...] = Field(min_length=1)


class ContactPoints(Strict):
    """alerting/contact_points.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    contact_points: tuple[ContactPoint, ...] = Field(alias="contactPoints")


class ExpressionSource(Strict):
    """Grafana's own arithmetic."""

    type: Literal["__expr__"]
    uid: Literal["__expr__"]


class Evaluator(Strict):
    """What a threshold compares with."""

    type: Literal["gt", "lt"]
    params: tuple[float]


class Condition(Strict):
    """Of a threshold."""

    evaluator: Evaluator


class ReduceSettings(Strict):
    """What becomes of values that are no numbers."""

    mode: Literal["dropNN"]


class Reduce(Strict):
    """A series becomes a number."""

    ref_id: RefId = Field(alias="refId")
    datasource: ExpressionSource
    type: Literal["reduce"]
    expression: RefId
    reducer: Literal["last", "max", "min", "mean"]
    settings: ReduceSettings


class Threshold(Strict):
    """A number fires or doesn't."""

    ref_id: RefId = Field(alias="refId")
    datasource: ExpressionSource
    type: Literal["threshold"]
    expression: RefId
    conditions: tuple[Condition]


class _Query(Strict):
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


class RelativeTimeRange(Strict):
    """Seconds before the evaluation."""

    start: int = Field(alias="from", ge=0)
    end: int = Field(alias="to", ge=0)


class Step(Strict):
    """A query or an expression of a rule."""

    ref_id: RefId = Field(alias="refId")
    datasource_uid: Uid = Field(alias="datasourceUid")
    relative_time_range: RelativeTimeRange = Field(alias="relativeTimeRange")
    model: Reduce | Threshold | FluxQuery | SqlQuery


class NotificationSettings(Strict):
    """Who is told, without a say in anybody's own notification policies."""

    receiver: Text
    group_by: tuple[Text, ...] = ()

    @field_validator("group_by")
    @classmethod
    def _with_what_grafana_demands(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if labels and not {"grafana_folder", "alertname"} <= set(labels):
            raise ValueError("Grafana refuses a grouping without grafana_folder and alertname")
        return labels


class Rule(Strict):
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


class Group(Strict):
    """Rules that are evaluated together."""

    org_id: Literal[1] = Field(alias="orgId")
    name: Text
    folder: Text
    interval: Duration
    rules: tuple[Rule, ...] = Field(min_length=1)


class Groups(Strict):
    """alerting/rules.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    groups: tuple[Group, ...]
