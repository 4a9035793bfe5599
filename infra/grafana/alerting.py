"""The files of `provisioning/alerting` as strict models of the keys that they use."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from infra.grafana.strict import Duration, RefId, Strict, Text, Uid


class WebhookSettings(Strict):
    """Address and method of a webhook."""

    url: Text
    http_method: Literal["POST"] = Field(alias="httpMethod")


class Receiver(Strict):
    """One delivery of a contact point."""

    uid: Uid
    type: Literal["webhook"]
    disable_resolve_message: bool = Field(alias="disableResolveMessage")
    settings: WebhookSettings


class ContactPoint(Strict):
    """A named list of receivers."""

    org_id: Literal[1] = Field(alias="orgId")
    name: Text
    receivers: tuple[Receiver, ...] = Field(min_length=1)


class ContactPoints(Strict):
    """alerting/contact_points.yaml."""

    api_version: Literal[1] = Field(alias="apiVersion")
    contact_points: tuple[ContactPoint, ...] = Field(alias="contactPoints")


class ExpressionSource(Strict):
    """Grafana's own expressions."""

    type: Literal["__expr__"]
    uid: Literal["__expr__"]


class Evaluator(Strict):
    """The comparison of a threshold."""

    type: Literal["gt", "lt"]
    params: tuple[float]


class Condition(Strict):
    """The condition of a threshold."""

    evaluator: Evaluator


class ReduceSettings(Strict):
    """How values that are not numbers are treated."""

    mode: Literal["dropNN"]


class Reduce(Strict):
    """An expression that reduces a series to a number."""

    ref_id: RefId = Field(alias="refId")
    datasource: ExpressionSource
    type: Literal["reduce"]
    expression: RefId
    reducer: Literal["last", "max", "min", "mean"]
    settings: ReduceSettings


class Threshold(Strict):
    """An expression that compares a number with a threshold."""

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
    """A query to InfluxDB."""

    query: Text

    @property
    def text(self) -> str:
        """The text of the query."""
        return self.query


class SqlQuery(_Query):
    """A query to PostgreSQL."""

    format: Literal["table", "time_series"]
    raw_query: Literal[True] = Field(alias="rawQuery")
    editor_mode: Literal["code"] = Field(alias="editorMode")
    raw_sql: Text = Field(alias="rawSql")

    @property
    def text(self) -> str:
        """The text of the query."""
        return self.raw_sql


class RelativeTimeRange(Strict):
    """A time range, as seconds before the evaluation."""

    start: int = Field(alias="from", ge=0)
    end: int = Field(alias="to", ge=0)


class Step(Strict):
    """A query or an expression of a rule."""

    ref_id: RefId = Field(alias="refId")
    datasource_uid: Uid = Field(alias="datasourceUid")
    relative_time_range: RelativeTimeRange = Field(alias="relativeTimeRange")
    model: Reduce | Threshold | FluxQuery | SqlQuery


class NotificationSettings(Strict):
    """The receiver of a rule's alerts; it bypasses Grafana's notification policies."""

    receiver: Text
    group_by: tuple[Text, ...] = ()

    @field_validator("group_by")
    @classmethod
    def _has_required_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if labels and not {"grafana_folder", "alertname"} <= set(labels):
            raise ValueError("Grafana rejects a grouping without grafana_folder and alertname")
        return labels


class Rule(Strict):
    """An alert rule."""

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
