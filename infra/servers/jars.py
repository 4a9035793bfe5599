"""Kafka's broker and Spark's Kafka connector, as jars from Maven Central, resolved by the Ivy inside pyspark."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from infra.host.cache import make_once
from infra.host.errors import Exit, StackError, last_lines
from infra.host.progress import Progress
from infra.settings import StackSettings, tool_environment
from infra.supervise.tools import java, run_tool

# `ibiblio` means Maven Central where no root is given. Naming it alone keeps Ivy away from ~/.m2, which may hold
# a pom without its jar.
_IVY_SETTINGS = """\
<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
"""
_PYSPARK = find_spec("pyspark")  # found, not imported: that takes half a second
assert _PYSPARK is not None
assert _PYSPARK.origin is not None
PYSPARK_JARS = Path(_PYSPARK.origin).parent / "jars"


@dataclass(frozen=True)
class JarSet:
    """Artifacts (organisation, module, revision) and all jars that they need at run time; the first names the set."""

    title: str
    artifacts: tuple[tuple[str, str, str], ...]

    @property
    def folder(self) -> str:
        """The name of the set's folder in the cache."""
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
    """Return the folder of the jars, which `resolve` creates."""
    return cache / "jars" / jars.folder


def connector_folder(settings: StackSettings) -> Path:
    """Return the folder of the jars of Spark's Kafka connector: that of the settings, else the cache's."""
    return settings.spark_jars or folder_of(CONNECTOR, settings.stocks_cache)


def resolve(jars: JarSet, cache: Path, progress: Progress, stop: threading.Event | None = None) -> Path:
    """Return the folder of the jars; download them first if the cache lacks them.

    The folder appears in one step, so an interrupted download is never taken for a complete one.

    Raises:
        StackError: the download failed; the message ends with Ivy's last lines.
    """
    target = folder_of(jars, cache)
    if target.is_dir():
        progress.line(f"{jars.title}: from the cache")
        return target

    def download(draft: Path) -> Path:
        log, complete = draft / "ivy.log", draft / "complete"
        code = run_tool(_ivy(jars, draft, complete), log, directory=draft, stop=stop, step=step)
        if code != 0 or not any(complete.glob(f"{jars.folder}.jar")):
            raise StackError(
                f"{jars.title} could not be downloaded from Maven Central (exit code {code}):\n{last_lines(log)}\n"
                "This is needed once. Check the network, or name your proxy in HTTPS_PROXY, and start again.",
                Exit.NO_NETWORK,
            )
        for jar in complete.iterdir():  # Spark has these already, and copies what it is given on each start
            if (PYSPARK_JARS / jar.name).exists() and jars is CONNECTOR:
                jar.unlink()
        return complete

    with progress.step(f"downloading {jars.title}") as step:
        return make_once(target, download, stop)


def proxy_options(environment: Mapping[str, str]) -> list[str]:
    """Return Java's options for the proxy of HTTPS_PROXY or https_proxy, neither of which Java reads."""
    named = environment.get("https_proxy") or environment.get("HTTPS_PROXY")
    if not named:
        return []
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    direct = (environment.get("no_proxy") or environment.get("NO_PROXY") or "").replace(" ", "").split(",")
    hosts = "|".join(f"*{host}" if host.startswith(".") else host for host in direct if host)
    return [
        f"-Dhttps.proxyHost={proxy.hostname}",
        f"-Dhttps.proxyPort={proxy.port or 80}",
        *([f"-Dhttp.nonProxyHosts={hosts}"] if hosts else []),
    ]


def _ivy(jars: JarSet, draft: Path, target: Path) -> list[str]:
    (ivy,) = PYSPARK_JARS.glob("ivy-*.jar")
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
        java(), *proxy_options(tool_environment()), "-jar", str(ivy),
        "-settings", str(draft / "ivysettings.xml"), "-ivy", str(draft / "ivy.xml"),
        "-cache", str(draft / "cache"), "-confs", "default", "-retrieve", f"{target}/[artifact]-[revision].[ext]",
    ]  # fmt: skip
