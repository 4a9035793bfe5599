from dataclasses import replace
from datetime import UTC, datetime

import pytest

from infra.cli.first_history import describe_history
from stock_assets.pipeline.coverage import MORE_TO_COME, UNKNOWN_SYMBOL, Coverage, has_history

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
THERE = Coverage("AMZN", "2m", "Yahoo", NOON, NOON, "1950 bars", NOON)
NEW = Coverage("AAPL", "2m", "Yahoo", NOON, None, "not asked yet", NOON)
BROKEN = replace(NEW, symbol="IBM", last_answer="timed out: IBM", failures=2)


@pytest.mark.parametrize(
    ("row", "has"),
    [
        (THERE, True),
        (replace(THERE, last_answer=f"1950 bars; {MORE_TO_COME}"), False),
        (replace(THERE, last_answer="timed out", failures=1), True),  # of a bar after it
        (NEW, False),
        (BROKEN, False),
        (replace(NEW, last_answer=f"{UNKNOWN_SYMBOL}: Yahoo knows none"), True),  # there is none to come
        (None, False),
    ],
)
def test_a_history_is_there_once_nothing_more_of_it_is_to_come(row: Coverage | None, has: bool) -> None:
    assert has_history(row) is has


def test_how_far_the_history_is_names_what_keeps_it() -> None:
    assert describe_history([THERE, NEW]) == "1 of 2 symbols"
    assert describe_history([THERE, NEW, BROKEN]) == "1 of 3 symbols; IBM: timed out: IBM"
