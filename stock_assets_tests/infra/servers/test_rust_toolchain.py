"""The Rust that builds InfluxDB is chosen, or missed with its remedy, before the build starts."""

from pathlib import Path

import pytest

from infra.servers import influxdb_build
from infra.servers.rust_toolchain import Choice, Rust, choose, installed_rust, parse_toolchains

TARGET = "x86_64-unknown-linux-gnu"


def rustup(*names: str) -> Rust:
    return Rust("/bin/cargo", by_rustup=True, toolchains=tuple(f"{name}-{TARGET}" for name in names))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("nightly", "1.95.0", "stable"), "stable"),
        (("nightly", "1.9.0", "1.95.0", "1.100.1"), "1.100.1"),
        (("nightly", "1.80"), "1.80"),
        (("nightly",), "nightly"),
        (("1.60.0", "mine"), "mine"),
    ],
)
def test_the_best_toolchain_that_is_there_is_chosen(names: tuple[str, ...], chosen: str) -> None:
    assert choose(rustup(*names)) == Choice(f"{chosen}-{TARGET}")


@pytest.mark.parametrize(
    ("rust", "missing"),
    [
        (Rust(None), "cargo"),
        (Rust("/bin/cargo", "error: no default"), "a cargo that runs (/bin/cargo does not)"),
        (rustup(), "a Rust toolchain (rustup has none: `rustup toolchain install stable`"),
        (rustup("1.60.0"), f"Rust 1.72 or newer (rustup has 1.60.0-{TARGET}: `rustup toolchain install stable`"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(rust: Rust, missing: str) -> None:
    assert choose(rust).missing.startswith(missing)


def test_a_cargo_without_rustup_needs_no_toolchain() -> None:
    assert choose(Rust("/usr/bin/cargo", "cargo 1.85.0 (d73d2caf9 2024-12-31)")) == Choice()


def test_rustups_list_is_read() -> None:
    text = f"stable-{TARGET} (active, default)\nmine\n1.95.0-{TARGET}\nwarning: it is old\n"
    assert parse_toolchains(text) == (f"stable-{TARGET}", "mine", f"1.95.0-{TARGET}")
    assert parse_toolchains("no installed toolchains\n") == ()


def test_the_programs_on_path_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program(tmp_path / "go", "echo go version go1.26.8 linux/amd64")
    program(tmp_path / "cc", "")
    program(tmp_path / "pkg-config", "")
    program(tmp_path / "rustup", "echo no installed toolchains")
    (tmp_path / "cargo").symlink_to(tmp_path / "rustup")
    assert [missing.partition(" (")[0] for missing in influxdb_build.missing_tools()] == ["a Rust toolchain"]

    program(tmp_path / "rustup", f"echo 'nightly-{TARGET} (default)'")
    assert installed_rust().toolchains == (f"nightly-{TARGET}",)
    assert influxdb_build.missing_tools() == []

    (tmp_path / "cargo").unlink()
    program(tmp_path / "cargo", "echo cargo 1.85.0")
    assert installed_rust() == Rust(str(tmp_path / "cargo"), "cargo 1.85.0\n")
    assert influxdb_build.missing_tools() == []


def program(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
