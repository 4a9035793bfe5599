"""The settings of the commands of `infra`; nothing else in it reads the environment."""

import os
from pathlib import Path
from typing import ClassVar

import platformdirs
from pydantic import Field, SecretStr, field_validator

from spark_streaming.contract.schema import Source, SourceNames, source_names
from stock_assets.settings import SharedSettings, require_name

HOST = "127.0.0.1"  # the servers of the stack are for this machine alone

# What a service is given of the caller's environment: secrets of the shell stay there.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "JAVA_HOME")
# What the one-time build and the download of jars need in addition, such as proxies and the tools' own folders.
_INHERITED_BY_TOOLS = (
    "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GONOSUMDB", "GOPRIVATE", "GOSUMDB", "GOROOT",
    "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_AUTO_INSTALL", "CC", "XDG_CACHE_HOME", "JAVA_TOOL_OPTIONS", "SSL_CERT_FILE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


class StackSettings(SharedSettings):
    """The settings of `stocks up`."""

    reads_running_stack: ClassVar[bool] = False

    stocks_cache: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("stocks"),
        description="folder of what is downloaded or built once; default: the user's cache folder",
    )
    kafka_port: int = Field(9092, description="port of Kafka")
    kafka_controller_port: int = Field(9093, description="port of Kafka's controller")
    kafka_retention_bytes: int = Field(20 * 2**30, description="bytes that a partition of a topic may take")
    influxdb_port: int = Field(8086, description="port of the stack's own InfluxDB, where INFLUXDB_URL names none")
    influx_operator_token: SecretStr | None = Field(
        None, description="token that may make buckets and tokens in the InfluxDB of INFLUXDB_URL"
    )
    influx_token: SecretStr | None = Field(None, description="can only write the source's bucket")
    influx_read_token: SecretStr | None = Field(None, description="can only read the source's bucket")
    postgres_password: SecretStr | None = Field(None, description="password of the owner of the tables")
    notify_urls: SecretStr | None = Field(None, description="where incidents are sent: addresses of Apprise's")
    dagster_port: int = Field(3001, description="port of Dagster's UI")
    dagster_code_port: int = Field(3002, description="port of Dagster's code server")
    grafana_port: int = Field(3000, description="port of Grafana")
    grafana_url: str | None = Field(None, description="an installed Grafana, for `stocks grafana install`")
    grafana_token: SecretStr | None = Field(None, description="of a service account there, with the role Admin")
    grafana_alert_url: str | None = Field(None, description="where Grafana posts its alerts; none: nowhere")
    spark_jars: Path | None = Field(None, description="folder of the Kafka connector's jars; none: the stack's own")
    spark_class_archive: Path | None = Field(
        None, description="folder of the class archive of Spark's JVM; none: the stack's own"
    )

    @field_validator("stocks_cache", mode="before")
    @classmethod
    def _named_cache(cls, cache: object) -> object:
        return require_name(cache)

    @field_validator("stocks_cache")
    @classmethod
    def _absolute_cache(cls, cache: Path) -> Path:
        return cache.expanduser().absolute()

    @field_validator("influxdb_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @property
    def runs_influxdb(self) -> bool:
        """Whether the stack runs its own InfluxDB: true unless INFLUXDB_URL names one."""
        return "influxdb_url" not in self.model_fields_set

    @property
    def effective_influxdb_url(self) -> str:
        """The address of InfluxDB: INFLUXDB_URL, or that of the stack's own."""
        return f"http://{HOST}:{self.influxdb_port}" if self.runs_influxdb else self.influxdb_url

    @property
    def given_postgres_password(self) -> str | None:
        """The owner's password, if the user has set one or it is stored already; else None."""
        return self.postgres_password.get_secret_value() if self.postgres_password else None

    @property
    def kafka_address(self) -> str:
        """`host:port` of the stack's Kafka."""
        return f"{HOST}:{self.kafka_port}"

    @property
    def postgres_address(self) -> tuple[str, int]:
        """Host and port of the stack's PostgreSQL."""
        return HOST, self.postgres_port

    @property
    def code_server_address(self) -> tuple[str, int]:
        """Host and port of Dagster's code server."""
        return HOST, self.dagster_code_port

    def source_names(self, source: Source) -> SourceNames:
        """Return the topics, bucket and schema of `source`."""
        return source_names(source, self.stock_price_kafka_topic, self.influxdb_bucket, self.stock_quote_kafka_topic)


class RunningStackSettings(StackSettings):
    """The settings of the other commands: those of `stocks up`, and what the running stack has written to stack.env."""

    reads_running_stack: ClassVar[bool] = True


class ProvidedServersSettings(StackSettings):
    """The settings of `stocks provision`: containers, or others, run the servers, and each has its own address."""

    dagster_code_host: str = Field(HOST, description="host of Dagster's code server")

    @property
    def runs_influxdb(self) -> bool:
        """Always False: others run the server."""
        return False

    @property
    def kafka_address(self) -> str:
        """`host:port` of the brokers, as clients use them."""
        return self.kafka_bootstrap_servers

    @property
    def postgres_address(self) -> tuple[str, int]:
        """Host and port of PostgreSQL, as clients use them."""
        return self.postgres_host, self.postgres_port

    @property
    def code_server_address(self) -> tuple[str, int]:
        """Host and port of the code server, as the daemon and the webserver use them."""
        return self.dagster_code_host, self.dagster_code_port


def service_environment() -> dict[str, str]:
    """Return the part of the caller's environment that a service gets."""
    values = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # Java reads file names in the locale's encoding: without one, STOCKS_HOME may hold ASCII only.
    if not any(values.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG")):
        values["LC_ALL"] = "C.UTF-8"
    return values


def tool_environment() -> dict[str, str]:
    """Return the part of the caller's environment that a build or a download gets."""
    return service_environment() | {name: os.environ[name] for name in _INHERITED_BY_TOOLS if name in os.environ}
