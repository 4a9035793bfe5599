"""Chooses the Rust toolchain for flux's library, a part of InfluxDB, before a build that would fail minutes later."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.settings import tool_environment
from infra.supervise.tools import output_of

AT_LEAST = (1, 72)  # what flux's own rust-toolchain file names
_INSTALL = "`rustup toolchain install stable` installs one"


@dataclass(frozen=True)
class Rust:
    """The Rust installation of a machine."""

    cargo: str | None  # the path of the cargo on PATH
    cargo_version: str = ""  # what it prints; empty where it can't be run, and not asked where rustup chooses it
    by_rustup: bool = False  # cargo is rustup's proxy, which runs that of a toolchain
    toolchains: tuple[str, ...] = ()  # rustup's, as "stable-x86_64-unknown-linux-gnu" or "1.95.0-…"


@dataclass(frozen=True)
class Choice:
    """The toolchain that the build uses, or why there is none."""

    toolchain: str | None = None  # the value of RUSTUP_TOOLCHAIN; None where rustup has no part in it
    missing: str = ""  # what the machine lacks, with the remedy; empty where nothing is


def choose(rust: Rust) -> Choice:
    """Choose the toolchain for the build: stable, else the newest version, else any other, nightly last."""
    if rust.cargo is None:
        return Choice(missing="cargo")
    if not rust.by_rustup:
        runs = re.match(r"cargo \d", rust.cargo_version)
        return Choice() if runs else Choice(missing=f"a cargo that runs ({rust.cargo} does not)")
    if not rust.toolchains:
        return Choice(missing=f"a Rust toolchain (rustup has none: {_INSTALL})")
    usable = [name for name in rust.toolchains if (version := _version(name)) is None or version >= AT_LEAST]
    if not usable:
        has = ", ".join(rust.toolchains)
        return Choice(missing=f"Rust {AT_LEAST[0]}.{AT_LEAST[1]} or newer (rustup has {has}: {_INSTALL})")
    return Choice(max(usable, key=_preference))


def _preference(name: str) -> tuple[int, tuple[int, ...]]:
    channel = name.partition("-")[0]
    return {"stable": 3, "beta": 0, "nightly": 0}.get(channel, 2 if _version(name) else 1), _version(name) or ()


def _version(name: str) -> tuple[int, ...] | None:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", name)
    return tuple(int(part or 0) for part in found.groups()) if found else None


def parse_toolchains(text: str) -> tuple[str, ...]:
    """Return the names in the output of `rustup toolchain list`."""
    lines = (re.fullmatch(r"([\w.+-]+)( \([\w, ]+\))?", line.strip()) for line in text.splitlines())
    return tuple(found[1] for found in lines if found)


def installed_rust() -> Rust:
    """Return the Rust installation of this machine."""
    path = tool_environment().get("PATH")
    cargo = shutil.which("cargo", path=path)
    if cargo is None:
        return Rust(None)
    target = Path(cargo).resolve()
    rustup = str(target) if target.name == "rustup" else shutil.which("rustup", path=path)
    if rustup is None or not target.samefile(rustup):
        return Rust(cargo, output_of([cargo, "--version"]))
    return Rust(cargo, by_rustup=True, toolchains=parse_toolchains(output_of([rustup, "toolchain", "list"])))
