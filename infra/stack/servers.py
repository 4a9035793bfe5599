"""The servers of one state folder, brought up by the code that `stocks up` and the tests share."""

import threading
from collections.abc import Iterable, Sequence

from infra.host.private_files import write_private
from infra.host.progress import Progress
from infra.servers import influxdb, jars, kafka, postgres, spark
from infra.settings import StackSettings
from infra.supervise.service import Service
from infra.supervise.supervisor import Supervisor
from spark_streaming.contract.schema import Source


class Servers:
    """Kafka, InfluxDB and PostgreSQL under one supervisor, and whatever `more` there is.

    Each `bring_up_…` may be called from a separate thread; it prepares, starts, waits and provisions.
    Make and start it in the main thread.
    """

    def __init__(self, settings: StackSettings, progress: Progress, more: Sequence[Service] = ()) -> None:
        own = [kafka.service(settings), postgres.service(settings)]
        if settings.runs_influxdb:
            own.append(influxdb.service(settings))
        self.settings, self.progress = settings, progress
        self.supervisor = Supervisor(settings.stocks_home, [*own, *more])

    @property
    def stop_requested(self) -> threading.Event:
        """Set it to have every `bring_up_…` give up."""
        return self.supervisor.stop_requested

    def bring_up_kafka(self, sources: Iterable[Source]) -> None:
        """Have Kafka, with the topics of the sources."""
        jars.resolve(jars.BROKER, self.settings.stocks_cache, self.progress, self.stop_requested)
        with self.progress.step("starting Kafka"):
            kafka.prepare(self.settings, self.stop_requested)
            self.supervisor.start_service(kafka.NAME)
            for source in sources:
                kafka.create_topics(self.settings, self.settings.source_names(source))

    def bring_up_influxdb(self, sources: Iterable[Source]) -> None:
        """Have InfluxDB, with a bucket and two tokens for each source."""
        if self.settings.runs_influxdb:
            influxdb.prepare(self.settings, self.progress, self.stop_requested)
        with self.progress.step("starting InfluxDB"):
            if self.settings.runs_influxdb:
                self.supervisor.start_service(influxdb.NAME)
            for source in sources:
                influxdb.provision(self.settings, source)

    def bring_up_postgres(self, sources: Iterable[Source]) -> None:
        """Have PostgreSQL, with the roles, and a schema and Dagster's database for each source."""
        with self.progress.step("starting PostgreSQL"):
            postgres.prepare(self.settings)
            self.supervisor.start_service(postgres.NAME)
            for source in sources:
                postgres.provision(self.settings, self.settings.source_names(source))


def effective_settings(settings: StackSettings) -> dict[str, str]:
    """Return the settings that other programs need of a running stack, by environment variable; no secrets."""
    state = {"STREAM_STATE": str(settings.stream_state)} if settings.stream_state is not None else {}
    return state | {
        "SOURCE": settings.source.value,
        "STOCKS": ",".join(settings.stocks),
        "STOCK_PRICE_KAFKA_TOPIC": settings.stock_price_kafka_topic,
        "STOCK_QUOTE_KAFKA_TOPIC": settings.stock_quote_kafka_topic,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_address,
        "KAFKA_PORT": str(settings.kafka_port),
        "KAFKA_CONTROLLER_PORT": str(settings.kafka_controller_port),
        "INFLUXDB_URL": settings.effective_influxdb_url,
        "INFLUX_ORG": settings.influx_org,
        "INFLUXDB_BUCKET": settings.influxdb_bucket,
        "INFLUXDB_MEASUREMENT": settings.influxdb_measurement,
        "POSTGRES_HOST": settings.postgres_address[0],
        "POSTGRES_PORT": str(settings.postgres_address[1]),
        "POSTGRES_USER": settings.postgres_user,
        "POSTGRES_DBNAME": settings.postgres_dbname,
        "DAGSTER_PORT": str(settings.dagster_port),
        "DAGSTER_CODE_PORT": str(settings.dagster_code_port),
        "GRAFANA_PORT": str(settings.grafana_port),
        "SPARK_JARS": str(jars.connector_folder(settings)),
        "SPARK_CLASS_ARCHIVE": str(spark.class_archive(settings)),
    }


def write_stack_env(settings: StackSettings, more: dict[str, str] | None = None) -> None:
    """Write `$STOCKS_HOME/stack.env`: the effective settings, with `more` of them."""
    settings.stocks_home.mkdir(parents=True, exist_ok=True)
    lines = (f"{name}={_quoted(value)}\n" for name, value in ((more or {}) | effective_settings(settings)).items())
    write_private(settings.stocks_home / "stack.env", "".join(lines))


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
