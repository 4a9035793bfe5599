"""Apache Kafka as one KRaft node on this machine."""

import subprocess
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from infra.host.errors import Exit, StackError, StoppedError, last_lines
from infra.host.ports import accepts_connections, free_ports
from infra.host.private_files import private_folder
from infra.servers import jars
from infra.servers.class_archives import LOWEST_PRIORITY, archive_folder, make_archive
from infra.settings import HOST, StackSettings, service_environment
from infra.supervise.service import Service, launch_spec, launcher_command
from infra.supervise.tools import java, run_tool
from spark_streaming.contract.class_archive import archive_options, making_options, mark_complete
from spark_streaming.contract.java_options import LATE_COMPILER
from spark_streaming.contract.schema import MAX_DEAD_LETTER_BYTES, MAX_MESSAGE_BYTES, PARTITIONS, SourceNames

NAME = "kafka"
_BOOTSTRAP_TIMEOUT_MS = 30_000

# 46 classes log at INFO on each start; what an operator needs is there all the same.
_LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS}{UTC}Z %p %c{1} %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
logger.config.name = org.apache.kafka.common.config
logger.config.level = warn
"""


def service(settings: StackSettings) -> Service:
    """Return the service of the broker; call `prepare` before it starts."""
    folder = settings.stocks_home / "kafka"
    return Service(
        name=NAME,
        command=_broker(settings, folder, archive_options(class_archive(settings))),
        environment=service_environment(),
        directory=folder,
        address=settings.kafka_address,
        log=settings.stocks_home / "logs" / "kafka.log",
        ready=lambda: accepts_connections(HOST, settings.kafka_port),
        stop_seconds=30,
    )


def server_properties(settings: StackSettings, folder: Path) -> dict[str, str]:
    """Return the broker's configuration; `folder` holds its data."""
    port, controller = settings.kafka_port, settings.kafka_controller_port
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "data"),
        # Topics are made on purpose, with the contract's partitions and limits.
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(MAX_DEAD_LETTER_BYTES),
        "replica.fetch.max.bytes": str(MAX_DEAD_LETTER_BYTES),
        # One node: nothing to replicate to.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
    }


def prepare(settings: StackSettings, stop: threading.Event | None = None) -> None:
    """Write the configuration, and format the storage once; the broker's jars must be in the cache.

    Raises:
        StackError: Kafka's own tool could not format the storage.
    """
    folder = private_folder(settings.stocks_home / "kafka")
    (folder / "server.properties").write_text(render(server_properties(settings, folder)), encoding="ascii")
    (folder / "log4j2.properties").write_text(_LOG4J)
    if (folder / "data" / "meta.properties").exists():
        return
    log = settings.stocks_home / "logs" / "kafka-format.log"
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    options = ("-XX:TieredStopAtLevel=1", *archive_options(class_archive(settings)))
    command = [*_java(settings, folder, "128m", options), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    # One word: one id in 64 begins with a dash, and would be taken for an option.
    command += [f"--cluster-id={cluster}", "-c", str(folder / "server.properties")]
    if run_tool(command, log, directory=folder, environment=service_environment(), stop=stop) != 0:
        raise StackError(f"Kafka could not format {folder / 'data'}:\n{last_lines(log)}", Exit.SERVICE_FAILED)


def create_topics(settings: StackSettings, names: SourceNames) -> None:
    """Create the source's missing topics: of bars, of quotes, and a dead-letter topic for each.

    Raises:
        StackError: a topic exists with another number of partitions.
        kafka.errors.KafkaError: the broker can't be reached, or rejects a request.
    """
    wanted = dict.fromkeys((names.topic, names.quote_topic), MAX_MESSAGE_BYTES)
    wanted |= dict.fromkeys((names.dead_letter_topic, names.quote_dead_letter_topic), MAX_DEAD_LETTER_BYTES)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_address, bootstrap_timeout_ms=_BOOTSTRAP_TIMEOUT_MS)
    try:
        there = set(admin.list_topics())
        for topic, limit in wanted.items():
            if topic not in there:
                _create(admin, topic, limit, settings.kafka_retention_bytes)
        for topic in wanted:
            _require_partitions(topic, _partitions(admin, topic))
    finally:
        admin.close()


def class_archive(settings: StackSettings) -> Path:
    """Return the folder of the class archive of the broker's JVM, whether it has been made or not."""
    broker = jars.folder_of(jars.BROKER, settings.stocks_cache)
    return archive_folder(settings.stocks_cache, "kafka", broker.glob("*.jar"))


def make_class_archive(settings: StackSettings, stop: threading.Event | None = None) -> None:
    """Make the archive where it is missing, with another broker that runs for some seconds. Its jars must be there.

    Raises:
        StackError: it could not be made.
        StoppedError: `stop` was set.
    """

    def make(folder: Path, log: Path) -> int:
        port, controller = free_ports(2)
        own = {"stocks_home": folder.parent / "home", "kafka_port": port, "kafka_controller_port": controller}
        other = settings.model_copy(update=own)
        prepare(other, stop)
        command = (*LOWEST_PRIORITY, *_broker(other, other.stocks_home / "kafka", making_options(folder)))
        spec = launch_spec(command, service_environment(), folder)
        with log.open("ab") as output:
            broker = subprocess.Popen(launcher_command(spec), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            _wait_for(broker, stop, lambda: accepts_connections(HOST, port))
            if broker.poll() is not None:
                return broker.returncode
            create_topics(other, other.names)
            broker.terminate()
            _wait_for(broker, stop, lambda: False)
        finally:
            broker.kill()
            broker.wait()
        mark_complete(folder)
        return 0

    make_archive(class_archive(settings), make, stop)


def _wait_for(broker: subprocess.Popen[bytes], stop: threading.Event | None, is_over: Callable[[], bool]) -> None:
    while broker.poll() is None and not is_over():
        if stop is not None and stop.is_set():
            raise StoppedError("the class archive of Kafka was not made")
        time.sleep(0.2)


def render(properties: dict[str, str]) -> str:
    """Return the properties in Java's format, in ASCII: other characters and backslashes are escaped."""
    lines = (f"{key}={value}".replace("\\", "\\\\") for key, value in properties.items())
    return "".join(f"{_ascii(line)}\n" for line in lines)


def _ascii(text: str) -> str:
    units = memoryview(text.encode("utf-16-be")).cast("B")
    pairs = (units[i] << 8 | units[i + 1] for i in range(0, len(units), 2))
    return "".join(chr(unit) if 32 <= unit < 127 else f"\\u{unit:04x}" for unit in pairs)


def _java(settings: StackSettings, folder: Path, heap: str, options: Sequence[str]) -> tuple[str, ...]:
    return (
        java(), f"-Xmx{heap}", "-XX:+UseSerialGC", *options,
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
        f"-Dkafka.logs.dir={settings.stocks_home / 'logs'}",
        "-cp", f"{jars.folder_of(jars.BROKER, settings.stocks_cache)}/*",
    )  # fmt: skip


def _broker(settings: StackSettings, folder: Path, options: Sequence[str]) -> tuple[str, ...]:
    java_command = _java(settings, folder, "512m", (*LATE_COMPILER, *options))
    return (*java_command, "kafka.Kafka", str(folder / "server.properties"))


def _create(admin: KafkaAdminClient, topic: str, limit: int, retention_bytes: int) -> None:
    configs = {
        # By bytes alone: by time, the history of a quiet year would be gone.
        "retention.ms": "-1",
        "retention.bytes": str(retention_bytes),
        "max.message.bytes": str(limit),
    }
    try:
        admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=configs)])
    except TopicAlreadyExistsError:  # made by someone else in between
        return


def _partitions(admin: KafkaAdminClient, topic: str) -> int:
    """How many the topic has. Right after its creation the broker reports none for a moment."""
    end = time.monotonic() + 10
    while True:
        (description,) = admin.describe_topics([topic])
        count = len(description["partitions"])
        if count or time.monotonic() > end:
            return count
        time.sleep(0.02)


def _require_partitions(topic: str, partitions: int) -> None:
    if partitions != PARTITIONS:
        raise StackError(
            f"topic {topic} has {partitions} partitions where {PARTITIONS} are needed: a symbol would move to another "
            "partition. Name a new topic by STOCK_PRICE_KAFKA_TOPIC or STOCK_QUOTE_KAFKA_TOPIC."
        )
