"""The one place of `stock_assets` that reads the environment.

A value comes from the first of these that has it: the environment, what the running stack wrote down
(`$STOCKS_HOME/stack.env`), `.env` in the working directory, a secret's file in `$SECRETS_DIR` or under
`$STOCKS_HOME/secrets`, the default here. The names are those of the fields in upper case.
"""

import os
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from spark_streaming.contract.schema import BUCKET, MEASUREMENT, QUOTE_TOPIC, TOPIC, Source, SourceNames, source_names

if TYPE_CHECKING:
    from sqlalchemy import URL

SECRETS_DIR = Path("/run/secrets")  # where containers have them


def require_name(folder: object) -> object:
    """Return the folder as it is named; an empty name, which would mean the working directory, is an error."""
    if isinstance(folder, str) and not folder.strip():
        raise ValueError("the name of the folder is empty: name one, or unset it for the default")
    return folder


class _Where(BaseSettings):
    """Where the state is: read first, because more values are read from there."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")
    stocks_home: Path = Path(".stocks")
    secrets_dir: Path = SECRETS_DIR

    @field_validator("stocks_home", "secrets_dir", mode="before")
    @classmethod
    def _named(cls, folder: object) -> object:
        return require_name(folder)

    @property
    def absolute(self) -> Path:
        return self.stocks_home.expanduser().absolute()


class SharedSettings(BaseSettings):
    """The settings that all programs share."""

    model_config = SettingsConfigDict(extra="ignore")
    reads_running_stack: ClassVar[bool] = True
    reads_arguments_only: ClassVar[bool] = False  # then neither the environment nor a file gives a value

    stocks_home: Path = Field(Path(".stocks"), description="folder of all state: data, logs, secrets")
    secrets_dir: Path = Field(SECRETS_DIR, description="folder of secrets given as files, each named as its setting")
    source: Source = Field(Source.YAHOO, description="where bars come from: yahoo, replay or simulated")
    stocks: Annotated[tuple[str, ...], NoDecode] = Field(
        ("AMZN", "AAPL", "MSFT", "GOOGL"), description="symbols, separated by commas (a replay takes its file's)"
    )
    stock_price_kafka_topic: str = Field(TOPIC, description="topic of the bars; other sources add a suffix")
    stock_quote_kafka_topic: str = Field(QUOTE_TOPIC, description="topic of the quotes; other sources add a suffix")
    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="the Kafka brokers")
    influxdb_url: str = Field("http://127.0.0.1:8086", description="an InfluxDB 2 that runs already")
    influx_org: str = Field("stocks", min_length=1, description="organization in InfluxDB")
    influxdb_bucket: str = Field(BUCKET, min_length=1, description="bucket of the bars; other sources add a suffix")
    influxdb_measurement: str = Field(MEASUREMENT, description="measurement of the bars")
    postgres_host: str = Field("127.0.0.1", description="PostgreSQL's host")
    postgres_port: int = Field(5433, description="PostgreSQL's port")
    postgres_user: str = Field("stocks", description="owner of the tables")
    postgres_dbname: str = Field("stocks", description="database of the company tables")
    stream_state: Path | None = Field(
        None, description="folder of the stream's lock, heartbeat and checkpoint; none: below STOCKS_HOME"
    )

    @field_validator("stocks_home", "secrets_dir", mode="before")
    @classmethod
    def _named(cls, folder: object) -> object:
        return require_name(folder)

    @field_validator("stocks_home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("stream_state")
    @classmethod
    def _absolute_state(cls, folder: Path | None) -> Path | None:
        return folder and folder.expanduser().absolute()

    @field_validator("stocks", mode="before")
    @classmethod
    def _split(cls, stocks: object) -> object:
        if isinstance(stocks, str):
            return tuple(dict.fromkeys(s.strip() for s in stocks.split(",") if s.strip()))
        return stocks

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the running stack's own file and the folders of secrets."""
        if cls.reads_arguments_only:
            return (init_settings,)
        init = init_settings()
        home = Path(init["stocks_home"]).absolute() if "stocks_home" in init else _Where().absolute
        files = [Path(".env")] + ([home / "stack.env"] if cls.reads_running_stack else [])
        dotenv = DotEnvSettingsSource(settings_cls, env_file=files)
        known = {**dotenv(), **env_settings(), **init}
        source = known.get("source", Source.YAHOO)
        source = Source(source).value if source in set(Source) else Source.YAHOO.value  # the field's check reports it
        # What was given as a file wins over what the stack made itself: the last one counts.
        folders = [home / "secrets", home / "secrets" / source, Path(known.get("secrets_dir", SECRETS_DIR))]
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=[f for f in folders if f.is_dir()])
        return init_settings, env_settings, dotenv, secrets

    @cached_property
    def names(self) -> SourceNames:
        """Topic, bucket and schema of the source in use."""
        return source_names(
            self.source, self.stock_price_kafka_topic, self.influxdb_bucket, self.stock_quote_kafka_topic
        )

    def state_of(self, program: str) -> Path:
        """Return the folder of the lock, the heartbeat and the checkpoint of `ingest` or `stream`."""
        if program == "stream" and self.stream_state is not None:
            return self.stream_state
        return self.stocks_home / "state" / self.source.value / program

    def postgres_url(self, user: str, password: SecretStr, database: str | None = None) -> "URL":
        """Return the address of the source's schema for SQLAlchemy, as `user`."""
        from sqlalchemy import URL  # half a second of imports, which most commands do without

        return URL.create(
            "postgresql+psycopg2",
            username=user,
            password=password.get_secret_value(),
            host=self.postgres_host,
            port=self.postgres_port,
            database=database or self.postgres_dbname,
            query={"options": f"-csearch_path={self.names.postgres_schema} -ctimezone=UTC"},
        )


class IngestSettings(SharedSettings):
    """The settings of the producer program."""

    postgres_password: SecretStr = Field(SecretStr(""), description="password of the owner of the tables")
    parent_pid: int | None = Field(None, description="process with which the program ends; set by the run")
    stack_started_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="start of the stack: where a simulation begins"
    )
    bar_interval: str = Field("2m", description="interval of Yahoo's bars: 1m, 2m, 5m, 15m, 1h or 1d")
    history_days: int = Field(14, gt=0, description="how many days of history a new symbol gets")
    yahoo_delay_seconds: int = Field(15, description="a bar is final so long after its end")
    extended_hours: bool = Field(False, description="bars before the open and after the close, too")
    yahoo_requests_per_minute: int = Field(
        120, gt=0, description="requests to Yahoo a minute, of all programs together"
    )
    yahoo_concurrency: int = Field(4, gt=0, le=32, description="requests to Yahoo that are under way at once")
    yahoo_proxy: str | None = Field(None, description="proxy on the way to Yahoo, as http://proxy:3128")
    yahoo_ca_file: Path | None = Field(
        None, description="certificates to trust on that way, where they are not the usual"
    )
    replay_file: Path | None = Field(None, description="CSV or Parquet file of bars; none: the bundled daily bars")
    replay_symbol: str | None = Field(None, description="symbol of a file without a column of symbols")
    replay_columns: str = Field("", description="the file's own column names, as timestamp=Date,open=Open")
    replay_timezone: str | None = Field(None, description="time zone of a file's naive timestamps")
    replay_interval: str | None = Field(None, description="interval of a file without a column of intervals")
    replay_skip_invalid: bool = Field(
        False, description="leave out the lines of a file that are no bars, and list them"
    )
    simulated_bars: int | None = Field(None, gt=0, description="bars a symbol after which a simulation ends")
    simulated_seed: int = Field(7, description="the same seed gives the same prices")

    def covers_extended_hours(self, interval: str) -> bool:
        """Return whether the source is asked for bars of `interval` before the open and after the close."""
        return self.extended_hours and self.source is Source.YAHOO and interval != "1d"

    @property
    def postgres(self) -> "URL":
        """The source's schema, as its owner."""
        return self.postgres_url(self.postgres_user, self.postgres_password)


class FirstIngestSettings(IngestSettings):
    """The same before a stack runs: without the file that the last one wrote."""

    reads_running_stack: ClassVar[bool] = False


class CodeLocationSettings(IngestSettings):
    """The settings of the Dagster code location, and of the programs that it starts."""

    influx_token: SecretStr = Field(SecretStr(""), description="can only write the source's bucket")
    influx_read_token: SecretStr = Field(SecretStr(""), description="can only read the source's bucket")
    # The stream's own, with the names and defaults that its settings class has: a test compares.
    spark_master: str = Field("local[2]", description="where the stream runs")
    spark_driver_memory: str = Field("512m", description="heap of Spark's driver")
    spark_local_ip: str | None = Field(None, description="address of the driver as a cluster's workers reach it")
    spark_python: str | None = Field(None, description="Python of a cluster's workers; none: this one")
    spark_conf: str | None = Field(None, description="more of Spark's settings, as a JSON object")
    spark_jars: Path | None = Field(None, description="folder of the Kafka connector's jars; none: the stack's")
    spark_class_archive: Path | None = Field(None, description="folder of the class archive of Spark's JVM, if any")
    max_offsets_per_trigger: int = Field(400_000, ge=1, description="messages that a batch of the stream takes at most")
    trigger_milliseconds: int = Field(200, ge=0, description="a batch of bars starts at most this often")
    quote_trigger_milliseconds: int = Field(1_000, ge=0, description="a batch of quotes starts at most this often")
    write_lines: int = Field(20_000, ge=1, description="lines that one request to InfluxDB has at most")
    write_tasks: int = Field(2, ge=1, description="tasks that write to InfluxDB at the same time")
    write_timeout_seconds: float = Field(30, gt=0, description="how long InfluxDB may take to answer a write")
    write_patience_seconds: float = Field(
        600, ge=0, description="how long a write is tried again before the stream fails"
    )
    keep_runs_days: int = Field(30, gt=0, description="how long runs, their events and logs are kept")
    keep_verdicts_days: int = Field(3, gt=0, description="how long the evaluations of checks, one a minute, are kept")
    keep_ticks_days: int = Field(7, gt=0, description="how long the ticks of sensors and schedules are kept")
    notify_urls: SecretStr = Field(
        SecretStr(""), description="addresses of Apprise's that get notifications of incidents"
    )
    dagster_port: int = Field(3001, description="port of Dagster's UI")
    dagster_url: str | None = Field(
        None, description="address of that UI for links in notifications; none: on this machine"
    )
    sessions_since: date = Field(date(2000, 1, 1), description="first session that can be summarised")
    summary_spark_memory: str = Field("512m", description="heap of the Spark that summarises sessions")
    summary_pictures_days: int = Field(90, ge=0, description="days for which pictures of sessions are kept")
    freshness_grace_seconds: int = Field(60, description="a bar may take this long from its end to InfluxDB")

    @property
    def dagster_address(self) -> str:
        """Where links to Dagster's UI lead, with no slash at the end."""
        return (self.dagster_url or f"http://127.0.0.1:{self.dagster_port}").rstrip("/")

    @property
    def pictures(self) -> Path:
        """Where the pictures of the source's sessions are kept."""
        return self.stocks_home / "pictures" / self.source.value

    quote_grace_seconds: int = Field(
        300, gt=0, description="an open exchange may go so long without a quote of any watched symbol"
    )

    def stream_environment(self) -> dict[str, str]:
        """Return the settings of `python -m spark_streaming` by their names in its environment; it reads no files."""
        values = {name: getattr(self, name) for name in _STREAM_SETTINGS} | {
            "source": self.source.value,
            "stock_quote_kafka_topic": self.stock_quote_kafka_topic if self.source.has_quotes else "",
            "influx_token": self.influx_token.get_secret_value(),
            "stream_state": self.state_of("stream"),
        }
        return {name.upper(): str(value) for name, value in values.items() if value is not None}

    def ingest_environment(self) -> dict[str, str]:
        """Return the settings of `python -m stock_assets.ingest` that this process's environment names, and the home.

        The others it reads from where this process has them, too: `.env`, the running stack's file, the secrets.
        """
        return named_settings(IngestSettings.model_fields) | {"STOCKS_HOME": str(self.stocks_home)}


_STREAM_SETTINGS = (
    "kafka_bootstrap_servers", "stock_price_kafka_topic", "influxdb_url", "influx_org", "influxdb_bucket",
    "influxdb_measurement", "spark_master", "spark_driver_memory", "spark_local_ip", "spark_python", "spark_conf",
    "spark_jars", "spark_class_archive", "max_offsets_per_trigger", "trigger_milliseconds",
    "quote_trigger_milliseconds", "write_lines", "write_tasks", "write_timeout_seconds", "write_patience_seconds",
)  # fmt: skip


def named_settings(fields: Iterable[str]) -> dict[str, str]:
    """Return name -> value of the settings' fields that this process's environment names."""
    wanted = {field.upper() for field in fields}
    return {name: value for name, value in os.environ.items() if name.upper() in wanted}


@lru_cache(maxsize=1)
def code_location() -> CodeLocationSettings:
    """Return the settings of this Dagster process, read once."""
    return CodeLocationSettings()
