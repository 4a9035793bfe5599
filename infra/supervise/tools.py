"""Programs of the machine: which are installed, in which version, and how a short-lived one is run."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from infra.host.errors import Exit, StackError, StoppedError, last_lines
from infra.host.progress import Step
from infra.settings import service_environment, tool_environment
from infra.supervise.service import launch_spec, launcher_command

JAVA_VERSIONS = (17, 21)  # what Spark 4.2 is tested with


def java() -> str:
    """Return the path of a Java that can run Kafka and Spark.

    Raises:
        StackError: there is none, or it is of another version.
    """
    path = find_java()
    remedy = "Install Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless), or set JAVA_HOME."
    if path is None:
        raise StackError(f"Java was not found on PATH nor in JAVA_HOME. {remedy}", Exit.MISSING_TOOL)
    version = java_version(path)
    if version not in JAVA_VERSIONS:
        raise StackError(f"{path} is Java {version or 'of an unknown version'}. {remedy}", Exit.MISSING_TOOL)
    return path


def find_java() -> str | None:
    """JAVA_HOME's Java, else the one on PATH."""
    environment = service_environment()
    if home := environment.get("JAVA_HOME"):
        candidate = Path(home) / "bin" / "java"
        return str(candidate) if os.access(candidate, os.X_OK) else None
    return shutil.which("java", path=environment.get("PATH"))


def java_version(path: str) -> int | None:
    """Return the major version of a Java, None where it prints none."""
    return parse_java_version(output_of([path, "-version"]))


def parse_java_version(text: str) -> int | None:
    """17 of `openjdk version "17.0.15" 2025-04-15`, 8 of `java version "1.8.0_402"`."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found[1]) if found else None


def output_of(command: list[str]) -> str:
    """Return what a command prints on both streams; empty where it can't be started or hangs."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, env=tool_environment(), check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def run_tool(
    command: list[str],
    log: Path,
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
    step: Step | None = None,
) -> int:
    """Run a command to its end, its output going to `log`, and return its exit code.

    It ends with this process, however this process ends.

    Raises:
        StoppedError: `stop` was set meanwhile; the command and what it had started have ended.
    """
    spec = launch_spec(tuple(command), environment or tool_environment(), directory, group_seconds=5)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            launcher_command(spec), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    while True:
        try:
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if step is not None:
                step.detail = last_lines(log, 1).strip()
        if stop is not None and stop.is_set():
            process.terminate()
            process.wait()
            raise StoppedError(f"{Path(command[0]).name} was stopped")
