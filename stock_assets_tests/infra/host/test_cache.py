"""What is made once: an interrupted result is never taken for a complete one, and the next attempt succeeds."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from infra.host.cache import make_once
from infra.host.errors import Exit, StackError, StoppedError
from infra.host.progress import Progress
from infra.servers import influxdb_build, jars
from stock_assets_tests.infra.terminal import Terminal, all_gone
from stock_assets_tests.services.waiting import until

DOWNLOAD = """
import sys
from pathlib import Path
from infra.servers import jars
from infra.host.progress import Progress
jars.resolve(jars.CONNECTOR, Path(sys.argv[1]), Progress())
"""
# Stands for Go and Cargo: the first build of InfluxDB never ends, the next ones do. Real starts test what it takes.
GO = """\
case "$1" in
  version) echo go version go1.26.1 linux/amd64 ;;
  --version) echo cargo 1.90.0 ;;
  env) echo "$0.cache" ;;
  build)
    while [ "$1" != -o ]; do shift; done
    echo half > "$2"
    case "$2" in */influxd) if [ ! -e "$0.tried" ]; then touch "$0.tried"; sleep 600; fi ;; esac
    echo whole > "$2" ;;
esac
"""
BUILD = """
import sys
from pathlib import Path
from infra.servers import influxdb_build
from infra.host.progress import Progress
influxdb_build.ensure(Path(sys.argv[1]), Path(sys.argv[1], "log"), Progress())
"""


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".") and path.is_dir()]


def kill_when(code: str, cache: Path, true: str) -> list[psutil.Process]:
    """Run code, kill it once the glob `true` finds something in the cache, and return what ran below it."""
    process = subprocess.Popen([sys.executable, "-c", code, str(cache)])
    until(lambda: any(cache.glob(true)) or process.poll() is not None)
    assert process.returncode is None
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    return children


def test_a_killed_download_is_done_again_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "jars"
    children = kill_when(DOWNLOAD, tmp_path, "jars/.*/ivy.log")
    assert children
    all_gone(children, 10)
    assert drafts(folder)
    target = jars.resolve(jars.CONNECTOR, tmp_path, Progress())
    assert (target / f"{jars.CONNECTOR.folder}.jar").exists()
    assert drafts(folder) == []


def test_a_killed_build_is_done_again_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("go", "cargo", "cc", "pkg-config"):
        (tools / name).write_text(f"#!/bin/sh\n{GO}")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    folder = influxdb_build.cached(tmp_path).parent
    all_gone(kill_when(BUILD, tmp_path, f"{folder.relative_to(tmp_path)}/.*/influxd"), 10)
    assert not influxdb_build.cached(tmp_path).exists()
    assert drafts(folder)
    program = influxdb_build.ensure(tmp_path, tmp_path / "log", Progress())
    assert Path(program).read_text() == "whole\n"
    assert drafts(folder) == []


def test_two_concurrent_makers_of_one_target_make_it_once(tmp_path: Path) -> None:
    made = []

    def make(draft: Path) -> Path:
        made.append(draft)
        (draft / "thing").touch()
        return draft / "thing"

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: make_once(tmp_path / "thing", make), range(4)))
    assert found == [tmp_path / "thing"] * 4
    assert len(made) == 1


def test_a_process_that_waits_for_another_can_be_stopped(tmp_path: Path) -> None:
    stop = threading.Event()

    def make(_: Path) -> Path:
        stop.set()
        with pytest.raises(StoppedError):
            make_once(tmp_path / "thing", make, stop)
        raise StackError("enough")

    with pytest.raises(StackError, match="enough"):
        make_once(tmp_path / "thing", make)


def test_a_stopped_download_leaves_nothing_behind(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        jars.resolve(jars.CONNECTOR, tmp_path, Progress(), stop)
    assert drafts(tmp_path / "jars") == []


@pytest.mark.services
def test_without_a_network_the_first_start_reports_it(terminal: Terminal, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    cache = tmp_path / "cache"
    built = influxdb_build.cached(cache)
    built.parent.mkdir(parents=True)
    built.touch(0o755)
    code, err = terminal.refused(STOCKS_CACHE=str(cache), HTTPS_PROXY=nowhere, https_proxy=nowhere)
    assert code == Exit.NO_NETWORK
    assert "could not be downloaded from Maven Central" in err
    assert "Check the network, or name your proxy in HTTPS_PROXY" in err
    assert drafts(cache / "jars") == []


@pytest.mark.parametrize(
    ("environment", "options"),
    [({}, []),
     ({"HTTPS_PROXY": "http://proxy:3128"}, ["-Dhttps.proxyHost=proxy", "-Dhttps.proxyPort=3128"]),
     ({"https_proxy": "proxy", "NO_PROXY": "localhost, .lan"},
      ["-Dhttps.proxyHost=proxy", "-Dhttps.proxyPort=80", "-Dhttp.nonProxyHosts=localhost|*.lan"])],
)  # fmt: skip
def test_the_proxy_is_passed_to_java(environment: dict[str, str], options: list[str]) -> None:
    assert jars.proxy_options(environment) == options


def test_a_build_without_a_network_is_distinguished_from_one_without_a_compiler(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("go: downloading x\ndial tcp: lookup proxy: no such host\n")
    assert influxdb_build.build_error(log).code is Exit.NO_NETWORK
    log.write_text("cc: internal compiler error\n")
    assert influxdb_build.build_error(log).code is Exit.MISSING_TOOL
