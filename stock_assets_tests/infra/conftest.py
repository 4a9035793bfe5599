"""A terminal for each test, and a market to look at."""

import shutil
from collections.abc import Iterator

import pytest

from infra.settings import StackSettings
from stock_assets_tests.infra.terminal import Terminal
from stock_assets_tests.infra.views.looks import Market, filled
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


@pytest.fixture(scope="module")
def market(stack: StackSettings) -> Market:
    """Real servers with two sessions of 2-minute bars; no test takes one away."""
    return filled(stack)
