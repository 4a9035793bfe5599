"""What is stored and what room is left, as the dashboards are shown."""

from pathlib import Path

import pytest

from infra.host import secrets
from infra.host.secrets import Secrets
from infra.settings import StackSettings
from infra.stack.storage_metrics import StorageMetrics, folder_size, metrics_line
from spark_streaming.contract.schema import Source
from stock_assets_tests.infra.servers.test_servers import query
from stock_assets_tests.services.fixtures import Bucket, settings_for


def test_the_size_of_a_folder_is_the_sum_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 1000)
    (tmp_path / "two").write_bytes(b"x" * 24)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    link = (tmp_path / "gone").lstat().st_size
    assert folder_size(tmp_path) == 1024 + link
    assert folder_size(tmp_path / "nowhere") == 0


def test_a_server_whose_data_is_elsewhere_has_no_field() -> None:
    assert (
        metrics_line({"kafka": 5, "influxdb": 0}, 7, 9)
        == "pipeline-metrics,program=stack kafka_bytes=5i,free_bytes=7i 9\n"
    )


@pytest.mark.services
def test_a_point_a_minute_is_stored(influxdb_server: StackSettings) -> None:
    growth, begin = StorageMetrics(), 1_000_000_000.0
    for second in range(0, 150, 10):
        growth.write_if_due(influxdb_server, begin + second)
    token = Secrets(influxdb_server.stocks_home).read(secrets.INFLUX_READ_TOKEN, Source.REPLAY) or ""
    name, url = influxdb_server.names.bucket, influxdb_server.effective_influxdb_url
    bucket = Bucket(url, influxdb_server.influx_org, name, "", token)
    status, text = query(bucket, token)
    assert status == 200
    points = [row for row in text.splitlines() if "free_bytes" in row and "2001-09-09" in row]
    assert len(points) == 3


def test_a_server_that_is_down_is_asked_again_a_minute_later(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)  # nothing listens on its ports
    Secrets(tmp_path).write(secrets.INFLUX_TOKEN, "a token", settings.source)
    growth = StorageMetrics()
    growth.write_if_due(settings, 1000.0)
    growth.write_if_due(settings, 1059.0)
    assert growth.written_at == 1000.0
    growth.write_if_due(settings, 1060.0)
    assert growth.written_at == 1060.0
