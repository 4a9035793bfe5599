from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.pipeline.company_facts import MissingFacts, missing_facts, next_run

FRIDAY = datetime(2026, 11, 20, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("after", "run"),
    [
        ("2026-11-20T15:00:00", "2026-11-20T21:30:00"),
        ("2026-11-20T21:30:00", "2026-11-23T21:30:00"),  # a Friday evening: not before Monday
        ("2026-11-21T03:00:00", "2026-11-23T21:30:00"),  # still Friday in New York
        ("2026-07-01T12:00:00", "2026-07-01T20:30:00"),  # summer time
    ],
)
def test_facts_are_fetched_after_new_yorks_close_on_weekdays(after: str, run: str) -> None:
    found = next_run(datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(run).replace(tzinfo=UTC)


def test_a_symbol_that_was_added_a_moment_ago_is_awaited_and_not_missing() -> None:
    before = FRIDAY - timedelta(days=1)
    assert missing_facts(["BTC-USD"], {"BTC-USD": FRIDAY}, before, FRIDAY + MINUTE) == MissingFacts([], ["BTC-USD"])


def test_it_is_missing_once_a_run_that_began_later_has_not_brought_it() -> None:
    began = FRIDAY + MINUTE
    assert missing_facts(["BTC-USD"], {"BTC-USD": FRIDAY}, began, began + MINUTE) == MissingFacts(["BTC-USD"], [])


def test_it_is_missing_once_the_next_scheduled_run_has_had_its_time() -> None:
    due = next_run(FRIDAY) + timedelta(hours=1)
    for now, missing in ((due - MINUTE, []), (due, ["BTC-USD"])):
        assert missing_facts(["BTC-USD"], {"BTC-USD": FRIDAY}, None, now).missing == missing


def test_a_symbol_that_was_always_watched_is_missing_at_once() -> None:
    assert missing_facts(["AAPL"], {}, None, FRIDAY) == MissingFacts(["AAPL"], [])
