"""Secrets as files under `$STOCKS_HOME/secrets`: one value a file, which only its owner can read.

A file's name is the lower-case name of the setting, so pydantic-settings reads the folder as it is.
"""

import secrets
from pathlib import Path

from infra.host.private_files import private_folder, write_private
from spark_streaming.contract.schema import Source

POSTGRES_PASSWORD = "postgres_password"  # noqa: S105 - the names of files
POSTGRES_SUPERUSER_PASSWORD = "postgres_superuser_password"  # noqa: S105
POSTGRES_READ_PASSWORD = "postgres_read_password"  # noqa: S105
INFLUX_OPERATOR_TOKEN = "influx_operator_token"  # noqa: S105
INFLUX_ADMIN_PASSWORD = "influx_admin_password"  # noqa: S105
INFLUX_TOKEN = "influx_token"  # noqa: S105
INFLUX_READ_TOKEN = "influx_read_token"  # noqa: S105
NOTIFY_URLS = "notify_urls"
GRAFANA_ADMIN_PASSWORD = "grafana_admin_password"  # noqa: S105


class Secrets:
    """The secrets of one state folder."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "secrets"

    def read(self, name: str, source: Source | None = None) -> str | None:
        """Return the value of a secret; None if it does not exist yet."""
        try:
            return self._path(name, source).read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def write(self, name: str, value: str, source: Source | None = None) -> str:
        """Store the value of a secret, and return it."""
        path = self._path(name, source)
        private_folder(self._folder)
        private_folder(path.parent)
        write_private(path, value)
        return value

    def get_or_create(self, name: str, given: str | None = None) -> str:
        """Return `given`, else the stored value, else a new random one; store it where it is not stored yet."""
        kept = self.read(name)
        if kept is not None and given in (None, "", kept):
            return kept
        return self.write(name, given or secrets.token_urlsafe(32))

    def copy_to(self, name: str, folder: Path, source: Source | None = None) -> None:
        """Copy a secret into `folder`, readable by its owner and its group, for the container that needs it.

        Raises:
            LookupError: the secret does not exist yet.
        """
        value = self.read(name, source)
        if value is None:
            raise LookupError(f"there is no secret {name} yet")
        write_private(folder / name, value)
        (folder / name).chmod(0o440)

    def _path(self, name: str, source: Source | None) -> Path:
        return self._folder / source.value / name if source else self._folder / name
