"""InfluxDB's server program: the one on PATH, else one that is built once from Go modules and kept in the cache."""

import os
import re
import shutil
import threading
from pathlib import Path

from infra.host.cache import make_once
from infra.host.errors import Exit, StackError, last_lines
from infra.host.progress import Progress
from infra.servers.rust_toolchain import choose, installed_rust
from infra.settings import tool_environment
from infra.supervise.tools import output_of, run_tool

VERSION = "2.7.12"
REMEDY = (
    "Install InfluxDB 2.7's own package so that influxd is on PATH (docs.influxdata.com/influxdb/v2/install), or name "
    "a running server by INFLUXDB_URL. Without either, the stack builds InfluxDB once, and needs for that "
    "Go 1.23 or newer, Rust (cargo), a C compiler and pkg-config."
)
_GO_FOLDER = Path(__file__).parent / "influxd"
_NEEDED = ("go", "cc", "pkg-config")
_GO_AT_LEAST = (1, 23)
# What Go and Cargo print where they can't reach the network.
_OF_THE_NETWORK = ("dial tcp", "proxyconnect", "no such host", "i/o timeout", "could not resolve", "couldn't connect",
                   "failed to connect", "connection refused", "network is unreachable")  # fmt: skip

# flux's Rust library denies warnings, of which newer compilers have more. RUSTFLAGS would not reach its host build.
_RUSTC_WRAPPER = '#!/bin/sh\nexec "$@" --cap-lints allow\n'


def installed() -> str | None:
    """Return the path of an InfluxDB 2 server on PATH; None if there is none, or one of another major version."""
    path = shutil.which("influxd", path=tool_environment().get("PATH"))
    return path if path and re.match(r"InfluxDB v?2\.", output_of([path, "version"])) else None


def cached(cache: Path) -> Path:
    """Return the path in the cache at which `ensure` puts the program that it builds."""
    return cache / "influxd" / VERSION / "influxd"


def program(cache: Path) -> str:
    """Return the path of the server program, which `ensure` provides."""
    return installed() or str(cached(cache))


def missing_tools() -> list[str]:
    """Return the names of the tools that the build needs and this machine lacks."""
    path = tool_environment().get("PATH")
    missing = [tool for tool in _NEEDED if shutil.which(tool, path=path) is None]
    if "go" not in missing and (version := go_version(output_of(["go", "version"]))) < _GO_AT_LEAST:
        missing.append(f"go 1.23 or newer (this is {'.'.join(map(str, version))})")
    if rust := choose(installed_rust()).missing:
        missing.append(rust)
    return missing


def go_version(text: str) -> tuple[int, ...]:
    """Parse the output of `go version`: (1, 26) for `go version go1.26.8 linux/amd64`, (0,) for anything else."""
    found = re.search(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0,)


def ensure(cache: Path, log: Path, progress: Progress, stop: threading.Event | None = None) -> str:
    """Return the path of the server program; build it, which takes minutes, if it is neither installed nor cached.

    Raises:
        StackError: a tool for the build is missing, or the build failed; the message has its last lines.
    """
    if path := installed():
        progress.line(f"InfluxDB: {path}")
        return path
    target = cached(cache)
    if target.exists():
        progress.line(f"InfluxDB {VERSION}: from the cache")
        return str(target)
    if missing := missing_tools():
        raise StackError(f"influxd is not on PATH, and can't be built without {', '.join(missing)}.\n{REMEDY}",
                         Exit.MISSING_TOOL)  # fmt: skip

    def build(draft: Path) -> Path:
        for command, environment in _commands(draft):
            if run_tool(command, log, directory=_GO_FOLDER, environment=environment, stop=stop, step=step) != 0:
                raise build_error(log)
        return draft / "influxd"

    with progress.step(f"building InfluxDB {VERSION}, once, in some 6 minutes (log: {log})") as step:
        return str(make_once(target, build, stop))


def build_error(log: Path) -> StackError:
    """Make the error of a failed build: the end of its log, and a remedy."""
    end = last_lines(log)
    text = f"InfluxDB {VERSION} could not be built; the end of {log}:\n{end}\n"
    if any(words in end.lower() for words in _OF_THE_NETWORK):
        return StackError(f"{text}It downloads its modules once: check the network, or name your proxy in HTTPS_PROXY. "
                          f"{REMEDY}", Exit.NO_NETWORK)  # fmt: skip
    return StackError(text + REMEDY, Exit.MISSING_TOOL)


def _commands(draft: Path) -> list[tuple[list[str], dict[str, str]]]:
    wrapper = draft / "rustc-wrapper"
    wrapper.write_text(_RUSTC_WRAPPER)
    wrapper.chmod(0o755)
    environment = tool_environment() | {
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "CGO_ENABLED": "1",
        "RUSTC_WORKSPACE_WRAPPER": str(wrapper),
        "PKG_CONFIG": str(draft / "pkg-config"),
    }
    if toolchain := choose(installed_rust()).toolchain:
        environment["RUSTUP_TOOLCHAIN"] = toolchain  # else rustup downloads the old one that flux names
    _forget_interrupted_copies(environment)
    flags = f"-s -w -X main.version=v{VERSION}"
    return [
        (["go", "build", "-o", str(draft / "pkg-config"), "github.com/influxdata/pkg-config"], environment),
        (
            ["go", "build", "-tags", "sqlite_foreign_keys,sqlite_json", "-ldflags", flags, "-o", str(draft / "influxd"),
             "github.com/influxdata/influxdb/v2/cmd/influxd"],
            environment,
        ),
    ]  # fmt: skip


def _forget_interrupted_copies(environment: dict[str, str]) -> None:
    """The pkg-config wrapper copies flux next to Go's cache, and uses an interrupted copy as if it were complete."""
    folder = environment.get("GOCACHE") or output_of(["go", "env", "GOCACHE"]).strip()
    if folder and os.path.isabs(folder):  # noqa: PTH117
        for copy in (Path(folder) / "pkgconfig").glob("github.com/influxdata/flux@*"):
            shutil.rmtree(copy, ignore_errors=True)
