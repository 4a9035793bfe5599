"""The command that installs what a machine lacks."""

import os
import platform
import sys
from collections.abc import Mapping

# The command that installs a thing, by the family of the system. Where packages are too old the vendor's page is named.
_INSTALL: Mapping[str, Mapping[str, str]] = {
    "java": {
        "debian": "apt-get install default-jre-headless",
        "ubuntu": "apt-get install openjdk-21-jre-headless",
        "fedora": "dnf install java-21-openjdk-headless",
        "macos": "brew install openjdk@21",
    },
    "influxd": {
        "debian": "apt-get install influxdb2, from InfluxData's repository: docs.influxdata.com/influxdb/v2/install",
        "ubuntu": "apt-get install influxdb2, from InfluxData's repository: docs.influxdata.com/influxdb/v2/install",
        "fedora": "dnf install influxdb2, from InfluxData's repository: docs.influxdata.com/influxdb/v2/install",
        "macos": "brew install influxdb@2",
    },
    "build": {
        "debian": "apt-get install golang-go cargo gcc pkg-config (Go 1.23 or newer: else go.dev/dl and rustup.rs)",
        "ubuntu": "apt-get install golang-1.23-go cargo gcc pkg-config (older releases: go.dev/dl and rustup.rs)",
        "fedora": "dnf install golang cargo gcc pkgconf-pkg-config",
        "macos": "brew install go rust pkg-config",
    },
}
_WHERE = {"java": "adoptium.net", "influxd": "docs.influxdata.com/influxdb/v2/install", "build": "go.dev/dl, rustup.rs"}


def install_command(thing: str, system: str, *, as_root: bool) -> str:
    """Return a sentence on how to install `thing` on a system.

    Args:
        thing: java, influxd or build.
        system: debian, ubuntu, fedora, macos, or any other name.
        as_root: whether the user is root, who needs no sudo.
    """
    command = _INSTALL[thing].get(system)
    if command is None:
        return f"See {_WHERE[thing]}."
    sudo = "" if as_root or system == "macos" else "sudo "
    return f"Install it: {sudo}{command}"


def system_name(release: Mapping[str, str], platform_name: str = sys.platform) -> str:
    """Return the family of a system (debian, ubuntu, fedora, macos, other).

    `release` holds the fields of /etc/os-release.
    """
    if platform_name == "darwin":
        return "macos"
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((name for name in names if name in ("ubuntu", "debian", "fedora")), "other")


def install_hint(thing: str) -> str:
    """Return a sentence on how to install `thing` (java, influxd, build) on this machine."""
    try:
        release = platform.freedesktop_os_release() if sys.platform == "linux" else {}
    except OSError:
        release = {}
    return install_command(thing, system_name(release), as_root=os.geteuid() == 0)
