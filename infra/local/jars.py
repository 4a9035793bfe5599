"""Kafka's broker and Spark's Kafka connector, as jars from Maven Central, resolved by the Ivy inside pyspark."""

import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import pyspark

from infra.local.errors import StackError, last_lines
from infra.local.progress import Progress
from infra.local.tools import java, run_tool

# `ibiblio` means Maven Central where no root is given. Naming it alone keeps Ivy away from ~/.m2, which may hold
# a pom without its jar.
_IVY_SETTINGS = """\
<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
"""
_PYSPARK_JARS = Path(pyspark.__file__).parent / "jars"


@dataclass(frozen=True)
class JarSet:
    """Artifacts (organisation, module, revision) with all that they need at run time; the first names the set."""

    title: str
    artifacts: tuple[tuple[str, str, str], ...]

    @property
    def folder(self) -> str:
        """Its folder in the cache."""
        _, module, revision = self.artifacts[0]
        return f"{module}-{revision}"


BROKER = JarSet(
    "Kafka 4.1.1",
    (
        ("org.apache.kafka", "kafka_2.13", "4.1.1"),
        # Kafka logs by SLF4J 1.7 and leaves it to the distribution to bind that to its log4j.
        ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
    ),
)
CONNECTOR = JarSet("Spark's Kafka connector 4.2.0", (("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.2.0"),))


def folder_of(jars: JarSet, cache: Path) -> Path:
    """Where the jars are, once `resolve` has been there."""
    return cache / "jars" / jars.folder


def resolve(jars: JarSet, cache: Path, progress: Progress, stop: threading.Event | None = None) -> Path:
    """The folder of the jars; they are downloaded where the cache lacks them.

    The folder appears in one step, so an interrupted download is never taken for a complete one.

    Raises:
        StackError: the download failed; the message ends with Ivy's last lines.
    """
    target = folder_of(jars, cache)
    if target.is_dir():
        progress.line(f"{jars.title}: from the cache {target}")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{jars.folder}-", dir=target.parent))
    try:
        with progress.step(f"downloading {jars.title}") as step:
            log, complete = draft / "ivy.log", draft / "complete"
            command = _ivy(jars, draft, complete)
            code = run_tool(command, log, directory=draft, stop=stop, step=step)
            if code != 0 or not any(complete.glob(f"{jars.folder}.jar")):
                raise StackError(
                    f"{jars.title} could not be downloaded from Maven Central (exit code {code}):\n{last_lines(log)}\n"
                    "Check the network, or the proxy in HTTPS_PROXY, and start again."
                )
            for jar in complete.iterdir():  # Spark has these already, and copies what it is given on each start
                if (_PYSPARK_JARS / jar.name).exists() and jars is CONNECTOR:
                    jar.unlink()
            _publish(complete, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _ivy(jars: JarSet, draft: Path, target: Path) -> list[str]:
    (ivy,) = _PYSPARK_JARS.glob("ivy-*.jar")
    wanted = "".join(
        f'<dependency org="{organisation}" name="{module}" rev="{revision}" conf="default->default"/>'
        for organisation, module, revision in jars.artifacts
    )
    (draft / "ivysettings.xml").write_text(_IVY_SETTINGS)
    (draft / "ivy.xml").write_text(
        '<ivy-module version="2.0"><info organisation="stocks" module="stack"/>'
        f"<dependencies>{wanted}</dependencies></ivy-module>"
    )
    return [
        java(), "-jar", str(ivy), "-settings", str(draft / "ivysettings.xml"), "-ivy", str(draft / "ivy.xml"),
        "-cache", str(draft / "cache"), "-confs", "default", "-retrieve", f"{target}/[artifact]-[revision].[ext]",
    ]  # fmt: skip


def _publish(complete: Path, target: Path) -> None:
    try:
        complete.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster
            raise
