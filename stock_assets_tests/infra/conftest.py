"""Fixtures: a terminal for each test, and servers filled with a market."""

import shutil
from collections.abc import Iterator

import pytest

from infra.settings import StackSettings
from stock_assets_tests.infra.terminal import Terminal
from stock_assets_tests.infra.views.market import Market, filled_market
from stock_assets_tests.services.fixtures import open_folder


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal in a folder whose name tests quoting in configuration files; nothing runs in it yet."""
    folder = open_folder()
    here = folder / "Zoë's 100% stock ; #1"
    here.mkdir()
    made = Terminal(here)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def market(stack: StackSettings) -> Market:
    """Real servers with two sessions of 2-minute bars; tests only add to them."""
    return filled_market(stack)
