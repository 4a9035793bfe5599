from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.market.bars import Bar
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.coverage_updates import after_answer, is_suspiciously_empty, permanent_gap, retry_delay
from stock_assets.pipeline.fetch_planner import BarRequest

DELAY = timedelta(seconds=15)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def request(begin: str, target: str, symbol: str = "AMZN", interval: str = "2m") -> BarRequest:
    length = {"2m": timedelta(minutes=2), "1h": timedelta(hours=1), "1d": timedelta(days=1)}[interval]
    return BarRequest(symbol, interval, at(begin), at(target) + length, at(target))


def bar(start: str) -> Bar:
    return Bar("AMZN", "2m", at(start), 1, 1, 1, 1, 1)


def row(newest: str | None, failures: int = 0) -> Coverage:
    moment = at(newest) if newest else None
    return Coverage("AMZN", "2m", "Yahoo", moment or at("2026-11-06T14:30:00"), moment, "", None, failures)


@pytest.mark.parametrize(
    ("symbol", "interval", "target", "answered", "due"),
    [
        ("AMZN", "2m", "2026-11-20T15:00:00", "2026-11-20T15:02:16", "2026-11-20T15:04:15"),
        # It took so long that another bar is final by now: that one is due at once.
        ("AMZN", "2m", "2026-11-20T15:00:00", "2026-11-20T15:04:20", "2026-11-20T15:04:15"),
        ("BTC-USD", "2m", "2026-11-20T15:00:00", "2026-11-20T15:04:20", "2026-11-20T15:04:15"),
        ("AMZN", "1h", "2026-11-20T19:30:00", "2026-11-20T20:30:16", "2026-11-20T20:40:15"),  # once more, then 21:00
        ("AMZN", "1d", "2026-11-19T14:30:00", "2026-11-20T15:00:00", "2026-11-20T21:00:15"),
    ],
)
def test_the_next_request_is_due_when_the_next_bar_is_final(
    symbol: str, interval: str, target: str, answered: str, due: str
) -> None:
    asked = request("2026-11-06T14:30:00", target, symbol, interval)
    assert after_answer(asked, None, [bar(target)], "Yahoo", DELAY, at(answered)).next_due == at(due)


def test_an_empty_answer_is_a_refusal_where_there_were_bars() -> None:
    asked = request("2026-11-20T14:50:00", "2026-11-20T15:00:00")
    assert is_suspiciously_empty(asked, row("2026-11-20T14:58:00"), [])
    assert not is_suspiciously_empty(asked, row("2026-11-20T14:40:00"), [])  # halted before that
    assert is_suspiciously_empty(asked, None, [])
    assert is_suspiciously_empty(asked, row(None, failures=5), [])
    assert not is_suspiciously_empty(asked, None, [bar("2026-11-20T15:00:00")])


def test_an_empty_part_of_a_history_is_believed_the_fourth_time() -> None:
    part = BarRequest("AMZN", "1m", at("2026-11-06T14:30:00"), at("2026-11-13T14:30:00"), at("2026-11-20T20:58:00"))
    assert is_suspiciously_empty(part, row(None, failures=2), [])
    assert not is_suspiciously_empty(part, row(None, failures=3), [])


def test_a_gap_is_permanent_where_the_source_has_no_older_bars() -> None:
    assert permanent_gap(request("2026-11-20T14:50:00", "2026-11-20T15:00:00")) is None
    lost = BarRequest("AMZN", "2m", at("2026-09-21T15:00:00"), at("2026-11-20T15:02:00"), at("2026-11-20T15:00:00"),
                   unavailable_since=at("2026-08-03T21:00:00"))  # fmt: skip
    gap = permanent_gap(lost)
    assert gap is not None
    assert (gap.begins_at, gap.ends_at) == (lost.unavailable_since, lost.begin)


def test_a_failing_symbol_backs_off() -> None:
    minutes = [retry_delay(times, is_unknown=True) / timedelta(minutes=1) for times in (1, 2, 3, 8, 9, 50)]
    assert minutes == [10, 20, 40, 1280, 1440, 1440]
    seconds = [retry_delay(times, is_unknown=False).total_seconds() for times in (1, 2, 9, 10, 50)]
    assert seconds == [10, 20, 2560, 3600, 3600]
