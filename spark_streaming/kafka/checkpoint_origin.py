"""Of which topic and into which database a checkpoint is: `topic.json` in the folder of its feed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from spark_streaming.contract.state_file import read_state, write_state

_FILE = "topic.json"
_LOOPBACK = ("localhost", "::1")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class CheckpointOrigin:
    """The topic and the database of a checkpoint's offsets; a value that an older version did not store is None."""

    id: str | None = None  # of the topic; a topic that is created again under the same name has another
    target: str | None = None  # InfluxDB's address, organization and bucket
    measurement: str | None = None


def read_origin(folder: Path) -> CheckpointOrigin:
    """Return the origin of the checkpoint in `folder`; without values if its file is absent or can't be parsed."""
    return read_state(folder / _FILE, CheckpointOrigin) or CheckpointOrigin()


def write_origin(folder: Path, origin: CheckpointOrigin) -> None:
    """Replace the origin of the checkpoint in `folder`."""
    write_state(folder / _FILE, json.dumps({name: value for name, value in asdict(origin).items() if value}))


def make_target(url: str, organization: str, bucket: str) -> str:
    """Return the database in the form of `CheckpointOrigin.target`.

    InfluxDB's own ids of organization and bucket would be better, and can't be had: a token that can only write a
    bucket sees neither. So two spellings of one address must come to the same text.
    """
    return f"{normalize_address(url)} {organization} {bucket}"


def normalize_address(url: str) -> str:
    """`url` in lower case up to its path, without a default port or a slash at the end, loopback as 127.0.0.1.

    What is no URL is returned as it is.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    host = "127.0.0.1" if host in _LOOPBACK else host
    address = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        address += f":{port}"
    return f"{parts.scheme}://{address}{parts.path.rstrip('/')}" if host else url


def is_other_database(before: CheckpointOrigin, now: CheckpointOrigin) -> bool:
    """Return whether points went elsewhere `before`: to another database, or to another measurement in it."""
    target = _normalized(before.target) if before.target is not None else now.target
    return target != now.target or (before.measurement or now.measurement) != now.measurement


def description(origin: CheckpointOrigin) -> str:
    """Return the text that names the database for people."""
    return f"{origin.target}, measurement {origin.measurement}" if origin.measurement else f"{origin.target}"


def _normalized(target: str) -> str:
    """A target that may be of an older version, which wrote the address as the settings had it."""
    url, separator, rest = target.partition(" ")
    return f"{normalize_address(url)}{separator}{rest}"
