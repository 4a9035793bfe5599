"""InfluxDB is unavailable for a while, or asks to wait: nothing is lost, and no hot loop retries."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.host import secrets
from infra.host.secrets import Secrets
from infra.servers import influxdb
from infra.servers.influxdb_api import session
from infra.settings import StackSettings
from infra.stack.servers import Servers
from infra.supervise.supervisord import api
from spark_streaming.contract.schema import SourceNames
from spark_streaming.sink.influxdb import WriteTarget
from stock_assets_tests.services.fixtures import Bucket, free_ports
from stock_assets_tests.services.waiting import until
from stock_assets_tests.spark_streaming.cases import SENT
from stock_assets_tests.spark_streaming.conftest import Launcher
from stock_assets_tests.spark_streaming.front import front_of
from stock_assets_tests.spark_streaming.influxdb_points import points_in
from stock_assets_tests.spark_streaming.kafka_messages import bars, everything_in, send
from stock_assets_tests.spark_streaming.sink.test_influxdb import batch, line, written

pytestmark = pytest.mark.services


def target(bucket: Bucket, url: str) -> WriteTarget:
    return WriteTarget(url, bucket.org, bucket.name, "prices", bucket.write_token, patience_seconds=30)


def test_an_answer_that_is_lost_after_the_server_wrote_doubles_nothing(fresh_bucket: Bucket) -> None:
    with front_of(fresh_bucket.url, ["lost", "lost"]) as url:
        task, others = written(target(fresh_bucket, url), batch([line(number) for number in range(20)]))
    assert (task["points"], others) == (20, [])
    assert len(points_in(fresh_bucket)) == 20


@pytest.mark.parametrize("status", [429, 503])
def test_without_a_retry_after_it_waits_longer_each_time(status: int, fresh_bucket: Bucket) -> None:
    began = time.monotonic()
    with front_of(fresh_bucket.url, [(status, ""), (status, ""), (status, "")]) as url:
        written(target(fresh_bucket, url), batch([line(1)]))
    assert time.monotonic() - began >= 0.25 + 0.5 + 1.0
    assert len(points_in(fresh_bucket)) == 1


def test_429_waits_as_long_as_the_server_requests(fresh_bucket: Bucket) -> None:
    began = time.monotonic()
    with front_of(fresh_bucket.url, [(429, "2")]) as url:
        written(target(fresh_bucket, url), batch([line(1)]))
    assert time.monotonic() - began >= 2.0


def test_influxdb_is_restarted_in_the_middle(
    launcher: Launcher, servers: Servers, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    broker = servers.settings.kafka_address
    send(broker, fresh_topic.topic, bars(1_000), SENT)
    stream = launcher.start(MAX_OFFSETS_PER_TRIGGER="500")
    stream.wait_for(lambda program: program.has_stored_something())

    supervisor = api(servers.supervisor.socket)
    supervisor.stopProcess(influxdb.NAME, True)
    try:
        send(broker, fresh_topic.topic, bars(3_000), SENT)
        stream.wait_for(lambda program: "no answer" in program.log)
        stream.wait_for(lambda program: (program.heartbeat.lag or 0) > 0)
        assert "next try in" in stream.log
    finally:
        servers.supervisor.start_service(influxdb.NAME)
    stream.wait_for(lambda program: program.heartbeat.lag == 0 and program.heartbeat.records == 4_000)
    stream.process.terminate()
    assert stream.end() == 0
    assert {fields["volume"] for fields in points_in(fresh_bucket).values()} == set(range(3_000))
    assert everything_in(broker, fresh_topic.dead_letter_topic) == []


def test_connections_that_are_refused_for_minutes_cost_nothing_and_few_tries(
    launcher: Launcher, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    (port,) = free_ports(1)
    send(stack.kafka_address, fresh_topic.topic, bars(1_000), SENT)
    stream = launcher.start(INFLUXDB_URL=f"http://127.0.0.1:{port}")  # nobody listens there
    stream.wait_for(lambda program: "no answer" in program.log)
    away = time.monotonic()
    # From a quarter of a second each pause is twice the one before: the tenth try comes after two minutes.
    stream.wait_for(lambda program: "next try in 60.0 s" in program.log, 150)
    assert time.monotonic() - away > 60
    assert stream.process.poll() is None
    assert stream.log.count("next try in") <= 2 * 9, "two tasks, nine tries each"
    assert stream.heartbeat.lag == 1_000, "the heartbeat shows that nothing moves"
    with front_of(fresh_bucket.url, [], port):
        stream.wait_for(lambda program: program.heartbeat.records == 1_000, 90)
    stream.process.terminate()
    assert stream.end(20) == 0
    assert len(points_in(fresh_bucket)) == 1_000


def set_active(server: StackSettings, token: str, active: bool) -> None:
    """Switch a token of the real server off or on."""
    operator = session(Secrets(server.stocks_home).read(secrets.INFLUX_OPERATOR_TOKEN))
    url = f"{server.effective_influxdb_url}/api/v2/authorizations"
    (found,) = (one["id"] for one in operator.get(url).json()["authorizations"] if one["token"] == token)
    assert operator.patch(f"{url}/{found}", json={"status": "active" if active else "inactive"}).ok


def test_403_is_retried_with_errors_in_the_log_until_the_token_works(
    fresh_bucket: Bucket, influxdb_server: StackSettings, caplog: pytest.LogCaptureFixture
) -> None:
    token = fresh_bucket.write_token
    set_active(influxdb_server, token, False)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(written, target(fresh_bucket, fresh_bucket.url), batch([line(1)]))
        until(lambda: "403: " in caplog.text)
        assert "next try in" in caplog.text
        assert not writing.done()
        set_active(influxdb_server, token, True)
        task, others = writing.result(30)
    assert (task["points"], others) == (1, [])
    assert token not in caplog.text


def test_401_is_retried_until_the_token_works(fresh_bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    with front_of(fresh_bucket.url, [(401, ""), (401, "")]) as url:
        task, others = written(target(fresh_bucket, url), batch([line(1)]))
    assert caplog.text.count("401") == 2
    assert (task["points"], others) == (1, [])
