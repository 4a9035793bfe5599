"""Two ways of writing that the stream is compared with, each a separate process, so that its CPU can be measured.

`python -m infra.bench.writers direct FILE NUMBER OF` posts every `OF`-th part of a file of ready-made lines.
`python -m infra.bench.writers row_by_row BROKER TOPIC COUNT` reads messages and writes each in a separate request, as
the original project does. Both print `ready`, and start when a line arrives on standard input. The environment variable
TARGET names the bucket.
"""

import itertools
import json
import os
import sys
from pathlib import Path

import urllib3

_LINES = 5_000


def environment(url: str, org: str, bucket: str, token: str) -> dict[str, str]:
    """Return the environment variable that both ways read the bucket from."""
    return {"TARGET": json.dumps({"url": url, "org": org, "bucket": bucket, "token": token})}


def _direct(file: Path, number: int, of: int) -> None:
    target = json.loads(os.environ["TARGET"])
    with file.open() as lines:
        parts = iter(lambda: "".join(itertools.islice(lines, _LINES)).encode(), b"")
        bodies = [body for at, body in enumerate(parts) if at % of == number]
    url = f"{target['url']}/api/v2/write?org={target['org']}&bucket={target['bucket']}&precision=s"
    pool = urllib3.PoolManager(num_pools=1, maxsize=1)
    _wait_for_start()
    for body in bodies:
        response = pool.request("POST", url, body=body, headers={"Authorization": f"Token {target['token']}"})
        if response.status != 204:
            raise RuntimeError(f"InfluxDB answered {response.status}: {response.data[:300]!r}")


def _row_by_row(broker: str, topic: str, count: int) -> None:
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from influxdb_client.client.write.point import Point
    from influxdb_client.client.write_api import SYNCHRONOUS
    from kafka import KafkaConsumer

    target = json.loads(os.environ["TARGET"])
    consumer = KafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest", group_id=None)
    rows = [json.loads(record.value) for record in itertools.islice(consumer, count)]
    consumer.close()
    with InfluxDBClient(target["url"], target["token"], org=target["org"]) as client:
        write = client.write_api(write_options=SYNCHRONOUS)
        _wait_for_start()
        for row in rows:
            point = Point("stock-price-v1").tag("symbol", row["symbol"]).tag("interval", row["interval"])
            for field in ("open", "high", "low", "close", "volume"):
                point.field(field, row[field])
            write.write(target["bucket"], record=point.time(row["timestamp"]))


def _wait_for_start() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    _, way, *arguments = sys.argv
    if way == "direct":
        _direct(Path(arguments[0]), int(arguments[1]), int(arguments[2]))
    else:
        _row_by_row(arguments[0], arguments[1], int(arguments[2]))
