"""Tables fit the terminal: columns are left out, and times are never broken."""

import io

import pytest
from rich.console import Console
from rich.table import Column

from infra.cli import console

TIME = "2026-11-20 14:30:00Z"
WIDTHS = {"reason": 22, "state": 9, "records": 7, "oldest": 20, "newest": 20}


@pytest.mark.parametrize(
    ("room", "left_out"), [(120, set()), (94, set()), (93, {"oldest"}), (80, {"oldest"}), (70, {"oldest", "state"})]
)
def test_optional_columns_are_left_out_in_their_order(room: int, left_out: set[str]) -> None:
    kept = console.columns_that_fit(WIDTHS, ("oldest", "state"), room)
    assert set(WIDTHS) - set(kept) == left_out


@pytest.mark.parametrize(("width", "is_terminal"), [(80, True), (60, True), (80, False)])
def test_a_time_is_never_broken(width: int, is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(console, "answers", Console(file=text, width=width, force_terminal=is_terminal, soft_wrap=True))
    names = ("reason", "state", "records", "oldest", "newest")
    rows = [["refused-by-database", "dismissed", "1,000", TIME, TIME]]
    console.print_fitted([Column(name, no_wrap=True) for name in names], rows, ("oldest", "state", "records"))
    (row,) = [line for line in text.getvalue().splitlines() if "refused-by-database" in line]
    assert row.count(TIME) == (1 if is_terminal else 2)
