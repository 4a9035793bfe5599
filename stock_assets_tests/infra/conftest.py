"""A terminal for each test."""

import shutil
from collections.abc import Iterator

import pytest

from stock_assets_tests.infra.terminal import Terminal
from stock_assets_tests.services.fixtures import open_folder


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """In a folder with a name that is hard on configuration files; nothing runs in it yet."""
    folder = open_folder()
    here = folder / "Zoë's 100% stock ; #1"
    here.mkdir()
    made = Terminal(here)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)
