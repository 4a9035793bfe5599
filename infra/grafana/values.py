"""What Grafana's provisioning files ask for: their variables and secrets, of the platform in use."""

import shlex
from pathlib import Path

from infra.host import secrets
from infra.host.private_files import write_private
from infra.host.secrets import Secrets
from infra.servers.postgres import reader_of
from infra.settings import StackSettings

_NOWHERE = "http://127.0.0.1:9/nobody-is-told"  # Grafana refuses a contact point without an address


def variables_of(settings: StackSettings) -> dict[str, str]:
    """Name -> value of every variable, none of them secret; the addresses are those of the settings' clients."""
    host, port = settings.postgres_address
    return {
        "STOCKS_SOURCE": settings.source.value,
        "STOCKS_INFLUXDB_URL": settings.effective_influxdb_url,
        "STOCKS_INFLUXDB_ORG": settings.influx_org,
        "STOCKS_INFLUXDB_BUCKET": settings.names.bucket,
        "STOCKS_POSTGRES_ADDRESS": f"{host}:{port}",
        "STOCKS_POSTGRES_DATABASE": settings.postgres_dbname,
        "STOCKS_POSTGRES_READER": reader_of(settings.names),
        "STOCKS_ALERT_URL": settings.grafana_alert_url or _NOWHERE,
    }


def secrets_of(settings: StackSettings) -> dict[str, str]:
    """Name of the file -> value of every secret.

    Raises:
        LookupError: one was not made yet.
    """
    keep = Secrets(settings.stocks_home)
    given = settings.influx_read_token
    found = {
        secrets.INFLUX_READ_TOKEN: given.get_secret_value() if given else None,
        secrets.POSTGRES_READ_PASSWORD: keep.read(secrets.POSTGRES_READ_PASSWORD),
    }
    if missing := [name for name, value in found.items() if not value]:
        raise LookupError(f"not made yet: {', '.join(missing)}")
    return {name: str(value) for name, value in found.items()}


def hand_out(settings: StackSettings, folder: Path) -> None:
    """Lay into `folder` all that a Grafana in a container is given: its secrets, and `grafana.env` to source."""
    keep = Secrets(settings.stocks_home)
    keep.made(secrets.GRAFANA_ADMIN_PASSWORD)
    keep.hand_out(secrets.GRAFANA_ADMIN_PASSWORD, folder)
    keep.hand_out(secrets.POSTGRES_READ_PASSWORD, folder)
    keep.hand_out(secrets.INFLUX_READ_TOKEN, folder, settings.source)
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in variables_of(settings).items())
    write_private(folder / "grafana.env", "".join(lines))
    (folder / "grafana.env").chmod(0o440)
