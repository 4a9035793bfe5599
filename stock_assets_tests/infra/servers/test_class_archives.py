"""Class archives: used where they fit, made again for other jars, and never fatal."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from infra.host.errors import StackError
from infra.servers import jars, kafka
from infra.servers.class_archives import archive_folder, make_archive
from infra.settings import StackSettings
from infra.supervise.tools import java
from spark_streaming.contract.class_archive import archive_options, mark_complete
from stock_assets_tests.services.fixtures import settings_for

ARCHIVE = "classes.jsa"
FROM_THE_ARCHIVE = "source: shared objects file (top)"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StackSettings:
    made = settings_for(tmp_path_factory.mktemp("home"))
    kafka.make_class_archive(made)
    return made


@pytest.fixture
def archive(settings: StackSettings, tmp_path: Path) -> Path:
    """A copy of the broker's archive."""
    return Path(shutil.copytree(kafka.class_archive(settings), tmp_path / "archive"))


def run_java(settings: StackSettings, folder: Path) -> str:
    """Run a program of the broker's jars with the archive, and return what it prints."""
    classes = f"{jars.folder_of(jars.BROKER, settings.stocks_cache)}/*"
    command = [java(), *archive_options(folder), "-Xlog:class+load", "-cp", classes, "kafka.tools.StorageTool"]
    done = subprocess.run([*command, "random-uuid"], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_java_takes_its_classes_from_the_archive(settings: StackSettings, archive: Path) -> None:
    assert FROM_THE_ARCHIVE in run_java(settings, archive)


def test_java_starts_without_a_damaged_archive(settings: StackSettings, archive: Path) -> None:
    file = archive / ARCHIVE
    file.chmod(0o644)
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        opened.write(os.urandom(2**20))
    assert archive_options(archive)
    assert FROM_THE_ARCHIVE not in run_java(settings, archive)


def test_java_starts_without_an_archive_that_was_cut_off(settings: StackSettings, archive: Path) -> None:
    file = archive / ARCHIVE
    file.chmod(0o644)
    os.truncate(file, file.stat().st_size // 2)
    assert archive_options(archive) == ()
    assert FROM_THE_ARCHIVE not in run_java(settings, archive)


def test_without_an_archive_there_are_no_options(tmp_path: Path) -> None:
    assert archive_options(None) == archive_options(tmp_path) == ()
    (tmp_path / ARCHIVE).write_text("classes")
    assert archive_options(tmp_path) == ()  # nobody has said that it is complete
    (tmp_path / "size").write_text("many")
    assert archive_options(tmp_path) == ()


def test_another_jar_has_another_archive(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_text("1")
    os.utime(jar, (1, 1))
    first = archive_folder(tmp_path, "kafka", [jar])
    assert archive_folder(tmp_path, "kafka", [jar]) == first
    os.utime(jar, (2, 2))
    second = archive_folder(tmp_path, "kafka", [jar])
    jar.write_text("12")
    os.utime(jar, (2, 2))
    assert len({first, second, archive_folder(tmp_path, "kafka", [jar])}) == 3


def make(folder: Path, log: Path) -> int:
    (folder / ARCHIVE).write_text("classes")
    mark_complete(folder)
    return 0


def test_an_archive_is_made_once_and_unused_ones_are_deleted(tmp_path: Path) -> None:
    old, recent, of_spark = tmp_path / "kafka-1", tmp_path / "kafka-2", tmp_path / "spark-1"
    for folder in (old, recent, of_spark):
        folder.mkdir()
    long_ago = time.time() - 31 * 24 * 3600
    for folder in (old, of_spark):
        os.utime(folder, (long_ago, long_ago))
    target = tmp_path / "kafka-3"
    make_archive(target, make)
    assert archive_options(target)
    make_archive(target, lambda folder, log: pytest.fail("it is there"))
    assert not old.exists()
    assert recent.exists()
    assert of_spark.exists()


def test_a_program_that_makes_none_is_an_error_with_its_log(tmp_path: Path) -> None:
    def fail(folder: Path, log: Path) -> int:
        log.write_text("no memory\n")
        return 1

    with pytest.raises(StackError, match="no memory"):
        make_archive(tmp_path / "kafka-3", fail)
    assert not (tmp_path / "kafka-3").exists()
