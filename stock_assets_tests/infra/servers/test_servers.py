"""The servers as `stocks up` brings them up: who may do what on them."""

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg2
import pytest
import requests
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic

from infra.host import secrets
from infra.host.errors import StackError
from infra.host.secrets import Secrets
from infra.servers import kafka, postgres
from infra.settings import StackSettings
from infra.stack.servers import Servers
from infra.supervise.supervisor import Supervisor
from spark_streaming.contract.schema import MAX_DEAD_LETTER_BYTES, PARTITIONS, Source, SourceNames
from stock_assets_tests.services.fixtures import Bucket, settings_for
from stock_assets_tests.services.waiting import until

pytestmark = pytest.mark.services


def write(bucket: Bucket, token: str) -> int:
    return requests.post(
        f"{bucket.url}/api/v2/write", params={"org": bucket.org, "bucket": bucket.name, "precision": "s"},
        headers={"Authorization": f"Token {token}"}, data="m,symbol=A close=1 1000000000", timeout=10,
    ).status_code  # fmt: skip


def query(bucket: Bucket, token: str) -> tuple[int, str]:
    answer = requests.post(
        f"{bucket.url}/api/v2/query", params={"org": bucket.org},
        headers={"Authorization": f"Token {token}", "Content-Type": "application/vnd.flux"},
        data=f'from(bucket: "{bucket.name}") |> range(start: 0)', timeout=10,
    )  # fmt: skip
    return answer.status_code, answer.text


def test_a_bucket_has_a_token_that_writes_and_one_that_reads(fresh_bucket: Bucket) -> None:
    assert write(fresh_bucket, fresh_bucket.write_token) == 204
    status, text = query(fresh_bucket, fresh_bucket.read_token)
    assert status == 200
    assert "2001-09-09T01:46:40Z" in text


def test_neither_token_can_do_the_other_thing(fresh_bucket: Bucket) -> None:
    assert write(fresh_bucket, fresh_bucket.read_token) == 403
    assert query(fresh_bucket, fresh_bucket.write_token)[0] == 404


def test_a_token_opens_no_other_bucket(make_bucket: Callable[[], Bucket]) -> None:
    mine, other = make_bucket(), make_bucket()
    assert write(other, mine.write_token) == 403
    assert query(other, mine.read_token)[0] == 404


def test_provisioning_again_keeps_the_tokens(servers: Servers, influxdb_server: StackSettings) -> None:
    keep = Secrets(influxdb_server.stocks_home)
    before = keep.read(secrets.INFLUX_TOKEN, Source.REPLAY)
    servers.bring_up_influxdb([Source.REPLAY])
    assert keep.read(secrets.INFLUX_TOKEN, Source.REPLAY) == before


def test_a_lost_token_is_replaced(servers: Servers, influxdb_server: StackSettings) -> None:
    keep = Secrets(influxdb_server.stocks_home)
    keep.write(secrets.INFLUX_TOKEN, "one that the server never gave", Source.SIMULATED)
    servers.bring_up_influxdb([Source.SIMULATED])
    assert keep.read(secrets.INFLUX_TOKEN, Source.SIMULATED) != "one that the server never gave"


def test_secrets_are_for_their_owner_alone(stack: StackSettings) -> None:
    folder = stack.stocks_home / "secrets"
    found = list(folder.rglob("*"))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *found]}
    assert len([path for path in found if path.is_file()]) == 9
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes


def test_no_log_and_no_configuration_of_a_server_holds_a_secret(stack: StackSettings) -> None:
    values = [p.read_bytes() for p in (stack.stocks_home / "secrets").rglob("*") if p.is_file()]
    for folder in ("logs", "run"):
        for path in filter(Path.is_file, (stack.stocks_home / folder).iterdir()):
            text = path.read_bytes()
            assert not any(value in text for value in values), path


def test_the_reader_of_postgres_reads_and_does_not_write(postgres_server: StackSettings) -> None:
    keep, schema = Secrets(postgres_server.stocks_home), postgres_server.names.postgres_schema
    with connect(postgres_server, "stocks", keep.read(secrets.POSTGRES_PASSWORD)) as owner:
        owner.cursor().execute(f"CREATE TABLE {schema}.sample AS SELECT 1 AS one")
        owner.commit()
    mine = postgres.reader_of(postgres_server.names)
    with connect(postgres_server, mine, keep.read(secrets.POSTGRES_READ_PASSWORD)) as reader:
        cursor = reader.cursor()
        cursor.execute("SELECT one FROM sample")  # the schema is its own without being named
        assert cursor.fetchone() == (1,)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(f"INSERT INTO {schema}.sample VALUES (2)")
        reader.rollback()
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(f"CREATE TABLE {schema}.mine (one int)")


def test_the_reader_of_one_source_sees_no_other(postgres_server: StackSettings) -> None:
    keep, other = Secrets(postgres_server.stocks_home), postgres_server.source_names(Source.SIMULATED)
    mine = postgres.reader_of(postgres_server.names)
    with connect(postgres_server, mine, keep.read(secrets.POSTGRES_READ_PASSWORD)) as reader:
        cursor = reader.cursor()
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(f"SELECT 1 FROM {other.postgres_schema}.sample")


def connect(settings: StackSettings, user: str, password: str | None) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host="127.0.0.1", port=settings.postgres_port, dbname=settings.postgres_dbname, user=user, password=password
    )


def test_the_dead_letter_topic_takes_more_than_the_topic(kafka_server: StackSettings, fresh_topic: SourceNames) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka_server.kafka_address, max_request_size=2 * MAX_DEAD_LETTER_BYTES)
    try:
        value = b"x" * (MAX_DEAD_LETTER_BYTES - 1000)
        producer.send(fresh_topic.dead_letter_topic, value).get(timeout=30)
        with pytest.raises(Exception, match=r"(?i)too.?large"):
            producer.send(fresh_topic.topic, value).get(timeout=30)
    finally:
        producer.close(timeout=5)


def test_a_topic_is_bounded_in_bytes_and_not_in_time(kafka_server: StackSettings, fresh_topic: SourceNames) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka_server.kafka_address)
    try:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, fresh_topic.topic)])
        text = str(found)
    finally:
        admin.close()
    assert "retention.ms" in text
    assert str(kafka_server.kafka_retention_bytes) in text


def test_a_topic_with_another_number_of_partitions_is_refused(kafka_server: StackSettings) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka_server.kafka_address)
    admin.create_topics([NewTopic("other-partitions", PARTITIONS + 1, 1)])
    admin.close()
    names = SourceNames(**(vars(kafka_server.names) | {"topic": "other-partitions"}))
    with pytest.raises(StackError, match=f"has {PARTITIONS + 1} partitions where {PARTITIONS}"):
        kafka.create_topics(kafka_server, names)


def test_a_killed_server_comes_back(servers: Servers, influxdb_server: StackSettings) -> None:
    def status() -> tuple[int, str]:
        return next((s.pid, s.state) for s in servers.supervisor.statuses() if s.name == "influxdb")

    until(lambda: status()[1] == "RUNNING")  # a start that lasted a second
    pid, _ = status()
    os.kill(pid, signal.SIGKILL)
    until(lambda: status()[0] not in (0, pid) and status()[1] == "RUNNING")
    until(servers.supervisor.services["influxdb"].ready)


def test_the_servers_listen_on_this_machine_alone(stack: StackSettings, servers: Servers) -> None:
    listening = {
        c.laddr.ip
        for child in psutil.Process(servers.supervisor.pid).children(recursive=True)
        for c in child.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user run PostgreSQL")
def test_root_may_keep_its_state_where_nobody_else_may_enter(tmp_path: Path) -> None:
    home = tmp_path / "closed"
    home.mkdir(0o700)
    settings = settings_for(home)
    supervisor = Supervisor(home, [postgres.service(settings)])
    supervisor.start()
    try:
        postgres.prepare(settings)
        supervisor.start_service(postgres.NAME)
        postgres.provision(settings, settings.names)
    finally:
        supervisor.stop()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700  # nothing was opened for it
    assert not postgres.can_enter(home, (home / "postgres").stat().st_uid)
