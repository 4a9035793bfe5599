from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.pipeline.evaluation_policy import LastEvaluation, reason_to_evaluate

SETTLE = timedelta(seconds=75)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def reason(
    now: str, last: str, passed: bool = True, moved_at: str | None = None, busy: str = "", exchange: str = "XNYS"
) -> str | None:
    moved = at(moved_at) if moved_at else None
    return reason_to_evaluate([exchange], SETTLE, LastEvaluation(at(last), passed), moved, busy, at(now))


def test_what_was_never_evaluated_is_evaluated() -> None:
    assert reason_to_evaluate([], SETTLE, None, None, "", at("2026-11-22T12:00:00")) == "nothing has been evaluated yet"


def test_an_open_exchange_is_evaluated_each_minute() -> None:
    assert reason("2026-11-20T14:31:00", last="2026-11-20T14:30:00") == "XNYS is open"
    assert reason("2026-11-20T20:59:00", last="2026-11-20T20:58:00") == "XNYS is open"


def test_the_last_bars_are_waited_for_and_then_evaluated_once() -> None:
    assert reason("2026-11-20T21:01:00", last="2026-11-20T21:00:00") == "XNYS has closed at 21:00 UTC"
    assert reason("2026-11-20T21:02:00", last="2026-11-20T21:01:00") == "XNYS has closed at 21:00 UTC"
    assert reason("2026-11-20T21:03:00", last="2026-11-20T21:02:00") is None


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2026-11-21T12:00:00", "2026-11-20T21:02:00"),  # a Saturday
        ("2026-11-26T15:00:00", "2026-11-25T21:02:00"),  # Thanksgiving
        ("2026-11-27T18:30:00", "2026-11-27T18:02:00"),  # a half-day's afternoon
        ("2026-11-23T14:29:00", "2026-11-20T21:02:00"),  # a minute before the open
    ],
)
def test_a_closed_market_is_not_evaluated(now: str, last: str) -> None:
    assert reason(now, last) is None


def test_a_close_that_was_missed_is_evaluated_when_the_platform_is_back() -> None:
    assert reason("2026-11-22T12:00:00", last="2026-11-20T18:00:00") == "XNYS has closed at 21:00 UTC"


def test_a_failed_check_is_evaluated_until_it_passes() -> None:
    assert reason("2026-11-21T12:00:00", "2026-11-20T21:02:00", passed=False) == "the last evaluation failed"


def test_a_running_program_is_evaluated_and_once_more_after_its_end() -> None:
    assert reason("2026-11-21T12:00:00", "2026-11-21T11:59:00", busy="messages wait") == "messages wait"
    ended = "a program has ended since the last evaluation"
    assert reason("2026-11-21T12:01:00", "2026-11-21T12:00:00", moved_at="2026-11-21T12:00:40") == ended
    assert reason("2026-11-21T12:02:00", "2026-11-21T12:01:00", moved_at="2026-11-21T12:00:40") is None


def test_a_market_that_never_closes_is_always_evaluated() -> None:
    assert reason("2026-11-22T12:00:00", "2026-11-22T11:59:00", exchange=ALWAYS_OPEN) == "24/7 is open"


def test_frankfurts_prices_come_a_quarter_of_an_hour_late() -> None:
    assert reason("2026-11-20T16:46:00", "2026-11-20T16:45:00", exchange="XETR") == "XETR has closed at 16:30 UTC"
    assert reason("2026-11-20T16:48:00", "2026-11-20T16:47:00", exchange="XETR") is None


@pytest.mark.parametrize(
    ("now", "extended", "reason"),
    [
        ("2026-11-20T09:30:00", True, "XNYS is open"),  # half past four in New York
        ("2026-11-20T23:30:00", True, "XNYS is open"),
        ("2026-11-20T23:30:00", False, None),
        ("2026-11-21T01:00:30", True, "XNYS has closed at 01:00 UTC"),
        ("2026-11-21T12:00:00", False, None),
    ],
)
def test_with_extended_hours_an_exchange_is_open_from_four_to_eight(
    now: str, extended: bool, reason: str | None
) -> None:
    last = LastEvaluation(at(now) - timedelta(minutes=1), True)
    assert reason_to_evaluate(["XNYS"], SETTLE, last, None, "", at(now), extended=extended) == reason
