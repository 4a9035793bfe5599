"""The one place of `spark_streaming` that reads the environment; a name is its field's in upper case."""

import sys
from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from spark_streaming.contract.schema import BUCKET, MEASUREMENT, QUOTE_TOPIC, TOPIC, Source, SourceNames, source_names
from spark_streaming.sink.influxdb import WriteTarget


class StreamSettings(BaseSettings):
    """The settings of the stream."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    source: Source = Field(description="whose bars: yahoo, replay or simulated")
    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="the Kafka brokers")
    stock_price_kafka_topic: str = Field(TOPIC, description="topic of the bars; other sources add a suffix")
    stock_quote_kafka_topic: str = Field("", description="topic of the quotes, with the same suffix; none: bars alone")
    influxdb_url: str = Field("http://127.0.0.1:8086", description="an InfluxDB 2")
    influx_org: str = Field("stocks", min_length=1, description="organization in InfluxDB")
    influx_token: SecretStr = Field(description="can only write the source's bucket")
    influxdb_bucket: str = Field(BUCKET, min_length=1, description="bucket of the bars; other sources add a suffix")
    influxdb_measurement: str = Field(MEASUREMENT, min_length=1, description="measurement of the bars")

    stream_state: Path = Field(description="folder of the lock, the heartbeat and the checkpoint")
    starting_offsets: dict[int, int] = Field(
        {}, description="partition -> offset at which a stream without a checkpoint begins; others: at their first"
    )
    ending_offsets: dict[int, int] = Field({}, description="partition -> offset; once it is done up to these, it ends")
    parent_pid: int | None = Field(None, description="the process with which the stream is to end")

    spark_master: str = Field("local[2]", description="where Spark runs")
    spark_jars: Path = Field(description="folder of the jars of Spark's Kafka connector")
    spark_class_archive: Path | None = Field(
        None, description="folder of the class archive of Spark's JVM, made by `stocks up`; used where it is complete"
    )
    spark_driver_memory: str = Field("512m", description="heap of Spark's driver, which does the work on local masters")
    spark_local_ip: str | None = Field(None, description="address of the driver as a cluster's workers reach it")
    spark_python: str = Field(sys.executable, description="Python of the executors, where this package is installed")
    spark_conf: dict[str, str] = Field({}, description="more of Spark's own configuration, as a JSON object")
    max_offsets_per_trigger: int = Field(400_000, ge=1, description="messages that a batch takes at most")
    trigger_milliseconds: int = Field(200, ge=0, description="a batch starts at most this often")
    quote_trigger_milliseconds: int = Field(1_000, ge=0, description="the same of quotes")
    write_lines: int = Field(20_000, ge=1, description="lines that one request to InfluxDB has at most")
    write_tasks: int = Field(2, ge=1, description="tasks that write to InfluxDB at the same time")
    write_timeout_seconds: float = Field(30, gt=0, description="how long InfluxDB may take to answer")
    write_patience_seconds: float = Field(
        600, ge=0, description="how long a write is tried again before the batch, and the program, fails"
    )

    @field_validator("stream_state", "spark_jars", "spark_class_archive")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().absolute() if path is not None else None

    @field_validator("influxdb_measurement")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.isprintable() or name.startswith(("_", "#")) or name.endswith("\\"):
            raise ValueError("InfluxDB takes no such measurement: it must be printable, and not begin with _ or #")
        return name

    @cached_property
    def names(self) -> SourceNames:
        """Topics, dead-letter topics and bucket of this source."""
        quotes = self.stock_quote_kafka_topic or QUOTE_TOPIC
        return source_names(self.source, self.stock_price_kafka_topic, self.influxdb_bucket, quotes)

    @property
    def program(self) -> str:
        """The tag of its metrics, which tells a reprocess from the stream that runs at the same time."""
        return "replay" if self.starting_offsets else "stream"

    @property
    def target(self) -> WriteTarget:
        """The bucket and measurement to which points are written."""
        return WriteTarget(
            url=self.influxdb_url.rstrip("/"),
            organization=self.influx_org,
            bucket=self.names.bucket,
            measurement=self.influxdb_measurement,
            token=self.influx_token.get_secret_value(),
            lines=self.write_lines,
            timeout_seconds=self.write_timeout_seconds,
            patience_seconds=self.write_patience_seconds,
        )
