"""README and docs name only what exists: paths, commands and options, names in Dagster, settings, identifiers."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer

from infra.cli.main import app
from infra.settings import StackSettings
from spark_streaming.settings import StreamSettings
from stock_assets import settings
from stock_assets.definitions import definitions
from stock_assets.settings import CodeLocationSettings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("stock_assets", "stock_assets_tests", "spark_streaming", "infra", "docs")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def files() -> list[str]:
    """The repository's files; those of a working copy, also before they are committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def code_of(page: Path) -> list[str]:
    """What stands in backticks, and each line of the shell blocks."""
    text = page.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [*inline, *(line for block in blocks for line in block.splitlines())]


@pages
def test_every_path_exists(page: Path) -> None:
    named = [word for code in code_of(page) for word in re.findall(r"[\w./-]+/[\w./-]*|[\w-]+\.py\b", code)]
    ours = [word.rstrip("/") for word in named if word.split("/")[0] in PACKAGES or word.endswith(".py")]
    missing = [word for word in ours if not (ROOT / word).exists() and not _is_end_of_a_path(word)]
    assert missing == []


def _is_end_of_a_path(word: str) -> bool:
    return any(file.endswith(f"/{word}") for file in files())


@pages
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, target


@pages
def test_every_command_and_option_exists(page: Path) -> None:
    root = typer.main.get_command(app)
    for code in code_of(page):
        for words in re.findall(r"(?<![\w/-])stocks((?: +[^|;&]+)?)", code):
            _check_command(root, words.split(), code)


def _check_command(command: Any, words: list[str], code: str) -> None:
    subcommands = getattr(command, "commands", None)
    if subcommands is not None and words and re.fullmatch(r"[a-z-]+", words[0]) and not words[0].startswith("-"):
        assert words[0] in subcommands, code
        assert not subcommands[words[0]].hidden, f"{code}: an old name"
        _check_command(subcommands[words[0]], words[1:], code)
        return
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    used = {word.strip("[]") for word in words if word.strip("[]").startswith("-")}
    assert used <= options, code


@cache
def shown_by_dagster() -> dict[str, set[str]]:
    """Kind -> the names that Dagster's UI shows."""
    with pytest.MonkeyPatch.context() as patch:
        for name in {*StackSettings.model_fields, *CodeLocationSettings.model_fields}:
            patch.delenv(name.upper(), raising=False)
        patch.chdir(ROOT / "docs")  # no .env
        settings.code_location.cache_clear()
        repository: dg.RepositoryDefinition = definitions().get_repository_def()
        settings.code_location.cache_clear()
    graph = repository.asset_graph
    return {
        "sensor": {sensor.name for sensor in repository.sensor_defs},
        "schedule": {schedule.name for schedule in repository.schedule_defs},
        "job": {name for name in repository.job_names if not name.startswith("__")},
        "check": {key.name for key in graph.asset_check_keys},
        "asset": {text for key in graph.get_all_asset_keys() for text in (key.to_user_string(), key.path[-1])},
    }


@pages
def test_every_name_in_dagster_exists(page: Path) -> None:
    kinds = "|".join(shown_by_dagster())
    for kind, names in re.findall(rf"\b({kinds})s? (`\w[\w/]*`(?:(?:,| and) `\w[\w/]*`)*)", page.read_text()):
        assert set(re.findall(r"`([^`]+)`", names)) <= shown_by_dagster()[kind], f"{kind} {names}"


@pytest.mark.parametrize("kind", ["sensor", "schedule", "check"])
def test_the_page_on_dagster_names_all_of_a_kind(kind: str) -> None:
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "dagster.md").read_text()))
    assert shown_by_dagster()[kind] - named == set()


@pages
def test_every_setting_exists(page: Path) -> None:
    fields = {*StackSettings.model_fields, *CodeLocationSettings.model_fields, *StreamSettings.model_fields}
    others = {"STOCKS_UID", "DAGSTER_HOME"}
    for code in code_of(page):
        named = set(re.findall(r"(?<![\w$.])[A-Z]+(?:_[A-Z]+)+(?![\w.…])", code))
        assert {name.lower() for name in named - others} <= fields, code


@pages
def test_every_identifier_occurs_in_the_code(page: Path) -> None:
    """A name with an underscore that a page has in backticks is a name of code, data or settings."""
    named = {word for code in code_of(page) for word in re.findall(r"(?<![\w.])[a-z]+(?:_[a-z0-9]+)+\b", code)}
    assert named - _identifiers() == set()


@cache
def _identifiers() -> set[str]:
    suffixes = (".py", ".yaml", ".json", ".toml", ".ts", ".mjs")
    texts = (
        (ROOT / file).read_text()
        for file in files()
        if file.endswith(suffixes) and not file.startswith("docs/") and file != "stock_assets_tests/test_docs.py"
    )
    found = {word for text in texts for word in re.findall(r"[a-z]+(?:_[a-z0-9]+)+", text)}
    return found | {part for file in files() for part in re.split(r"[/.]", file)}
