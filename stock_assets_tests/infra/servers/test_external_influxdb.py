"""An InfluxDB that runs already, named by INFLUXDB_URL: here the test run's own stands for it."""

import uuid
from collections.abc import Callable

import pytest

from infra.host import secrets
from infra.host.errors import Exit
from infra.host.secrets import Secrets
from infra.settings import StackSettings
from spark_streaming.contract.schema import Source
from stock_assets_tests.infra.terminal import Terminal, stop
from stock_assets_tests.services.fixtures import Bucket

pytestmark = pytest.mark.services


def operator_token(server: StackSettings) -> str:
    return str(Secrets(server.stocks_home).read(secrets.INFLUX_OPERATOR_TOKEN))


def test_a_server_of_ones_own_gets_the_bucket_and_its_tokens(
    terminal: Terminal, influxdb_server: StackSettings
) -> None:
    terminal.environment |= {
        "INFLUXDB_URL": f"{influxdb_server.effective_influxdb_url}/",
        "INFLUXDB_BUCKET": f"test-{uuid.uuid4().hex[:12]}",
    }
    process = terminal.up(INFLUX_OPERATOR_TOKEN=operator_token(influxdb_server))
    services = terminal.status()["services"]
    assert isinstance(services, list)
    assert {service["name"] for service in services} == {"kafka", "postgres"}
    keep = Secrets(terminal.home)
    tokens = [keep.read(name, Source.REPLAY) for name in (secrets.INFLUX_TOKEN, secrets.INFLUX_READ_TOKEN)]
    assert None not in tokens
    assert keep.read(secrets.INFLUX_OPERATOR_TOKEN) is None  # it is only asked for, never kept
    stop(process)

    stop(terminal.up())  # with the tokens that it has, the operator's is needed no more
    assert [keep.read(name, Source.REPLAY) for name in (secrets.INFLUX_TOKEN, secrets.INFLUX_READ_TOKEN)] == tokens


def test_a_server_that_does_not_answer_is_named(terminal: Terminal) -> None:
    code, err = terminal.refused(INFLUXDB_URL="http://127.0.0.1:9")
    assert code == Exit.INFLUXDB_UNUSABLE
    assert "no healthy InfluxDB 2 answers at INFLUXDB_URL=http://127.0.0.1:9" in err
    assert "unset INFLUXDB_URL" in err


def test_an_operator_token_that_is_refused_is_named(terminal: Terminal, influxdb_server: StackSettings) -> None:
    code, err = terminal.refused(INFLUXDB_URL=influxdb_server.effective_influxdb_url, INFLUX_OPERATOR_TOKEN="wrong")
    assert code == Exit.INFLUXDB_UNUSABLE
    assert "Set INFLUX_OPERATOR_TOKEN to one of that server" in err


def test_tokens_that_do_not_open_the_bucket_are_named(terminal: Terminal, make_bucket: Callable[[], Bucket]) -> None:
    bucket, other = make_bucket(), make_bucket()
    terminal.environment |= {"INFLUXDB_URL": bucket.url, "INFLUXDB_BUCKET": bucket.name}
    code, err = terminal.refused()
    assert code == Exit.INFLUXDB_UNUSABLE
    assert "INFLUX_TOKEN and INFLUX_READ_TOKEN are not both known" in err
    code, err = terminal.refused(INFLUX_TOKEN=other.write_token, INFLUX_READ_TOKEN=bucket.read_token)
    assert code == Exit.INFLUXDB_UNUSABLE
    assert f"INFLUX_TOKEN can't write {bucket.name}-replay of stocks there: 40" in err
