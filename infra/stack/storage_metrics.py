"""Sizes of the stored data and free disk space, as a point a minute of `pipeline-metrics`."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from infra.host import disk, secrets
from infra.host.secrets import Secrets
from infra.servers.influxdb_api import session
from infra.settings import StackSettings
from spark_streaming.contract.schema import PIPELINE_MEASUREMENT

_MINUTE = 60
_TIMEOUT_SECONDS = 2
_SERVERS = ("kafka", "influxdb", "postgres")


@dataclass
class StorageMetrics:
    """Writes the point; safe to call at any rate."""

    written_at: float = 0.0

    def write_if_due(self, settings: StackSettings, now: float) -> None:
        """Write a point, at most one a minute. One that can't be written is left out: the next one has newer values."""
        token = Secrets(settings.stocks_home).read(secrets.INFLUX_TOKEN, settings.source)
        if token is None or now - self.written_at < _MINUTE:
            return
        self.written_at = now
        sizes = {name: folder_size(settings.stocks_home / name) for name in _SERVERS}
        with suppress(requests.RequestException):
            session(token).post(
                f"{settings.effective_influxdb_url}/api/v2/write",
                params={"org": settings.influx_org, "bucket": settings.names.bucket, "precision": "s"},
                data=metrics_line(sizes, disk.free_bytes(settings.stocks_home), int(now)),
                timeout=_TIMEOUT_SECONDS,
            )


def metrics_line(sizes: dict[str, int], free: int, at: int) -> str:
    """Return the line of the point at `at` seconds since 1970; a server whose data is elsewhere has no field."""
    known = {f"{name}_bytes": size for name, size in sizes.items() if size} | {"free_bytes": free}
    fields = ",".join(f"{name}={size}i" for name, size in known.items())
    return f"{PIPELINE_MEASUREMENT},program=stack {fields} {at}\n"


def folder_size(folder: Path) -> int:
    """Return the bytes of the files in it, also while files vanish; 0 if there is no such folder."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total
