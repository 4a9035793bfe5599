"""Values of the variables and secrets in Grafana's provisioning files."""

import shlex
from pathlib import Path

from infra.host import secrets
from infra.host.private_files import write_private
from infra.host.secrets import Secrets
from infra.servers.postgres import reader_of
from infra.settings import StackSettings

_NO_RECEIVER = "http://127.0.0.1:9/no-receiver"  # Grafana rejects a contact point without an address


def variables_of(settings: StackSettings) -> dict[str, str]:
    """Return name -> value of every variable; none is secret. Addresses are those that clients use."""
    host, port = settings.postgres_address
    return {
        "STOCKS_SOURCE": settings.source.value,
        "STOCKS_INFLUXDB_URL": settings.effective_influxdb_url,
        "STOCKS_INFLUXDB_ORG": settings.influx_org,
        "STOCKS_INFLUXDB_BUCKET": settings.names.bucket,
        "STOCKS_POSTGRES_ADDRESS": f"{host}:{port}",
        "STOCKS_POSTGRES_DATABASE": settings.postgres_dbname,
        "STOCKS_POSTGRES_READER": reader_of(settings.names),
        "STOCKS_ALERT_URL": settings.grafana_alert_url or _NO_RECEIVER,
    }


def secrets_of(settings: StackSettings) -> dict[str, str]:
    """Return name of the file -> value of every secret.

    Raises:
        LookupError: a secret does not exist yet.
    """
    keep = Secrets(settings.stocks_home)
    given = settings.influx_read_token
    found = {
        secrets.INFLUX_READ_TOKEN: given.get_secret_value() if given else None,
        secrets.POSTGRES_READ_PASSWORD: keep.read(secrets.POSTGRES_READ_PASSWORD),
    }
    if missing := [name for name, value in found.items() if not value]:
        raise LookupError(f"these secrets don't exist yet: {', '.join(missing)}")
    return {name: str(value) for name, value in found.items()}


def write_container_files(settings: StackSettings, folder: Path) -> None:
    """Write the secrets of a Grafana in a container, and `grafana.env` with its variables, into `folder`.

    Raises:
        LookupError: a secret does not exist yet.
    """
    keep = Secrets(settings.stocks_home)
    keep.get_or_create(secrets.GRAFANA_ADMIN_PASSWORD)
    keep.copy_to(secrets.GRAFANA_ADMIN_PASSWORD, folder)
    keep.copy_to(secrets.POSTGRES_READ_PASSWORD, folder)
    keep.copy_to(secrets.INFLUX_READ_TOKEN, folder, settings.source)
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in variables_of(settings).items())
    write_private(folder / "grafana.env", "".join(lines))
    (folder / "grafana.env").chmod(0o440)
