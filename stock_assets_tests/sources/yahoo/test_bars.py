"""Bars of source yahoo: each one once it is final, and none lost."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from stock_assets.sources.yahoo.recent_bars import RecentBars
from stock_assets.sources.yahoo.source import LEAD, YahooSource
from stock_assets_tests.services.yahoo import Market, YahooServer
from stock_assets_tests.sources.yahoo.asked import FRIDAY_EVENING, LAST_BAR, Asked


def test_a_first_start_gives_every_bar_of_the_history_once(asked: Asked, market: Market) -> None:
    bars = asked.until_it_rests()
    for symbol in ("AMZN", "AAPL"):
        starts = [bar.start for bar in bars if bar.symbol == symbol]
        assert starts == sorted(set(starts))
        assert len(starts) == 3 * 195  # 18, 19 and 20 November at 2 minutes
        assert asked.coverage[symbol].covered_until == LAST_BAR
    assert asked.coverage["AMZN"].newest_bar == LAST_BAR
    assert bars[0].interval == "2m"
    assert len(market.charts()) == 2  # one request a symbol


def test_nothing_more_is_asked_for_until_monday_and_the_producer_rests(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    requests = len(market.charts())
    asked.clock.time = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert asked.until_it_rests() == []
    assert len(market.charts()) == requests
    rows = list(asked.coverage.values())
    monday = datetime(2026, 11, 23, 14, 32, 15, tzinfo=UTC)
    assert not asked.source.is_due(rows, monday - LEAD - timedelta(seconds=1))
    assert asked.source.is_due(rows, monday - LEAD)


def test_an_open_market_gives_each_bar_once_it_is_final(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    bars = asked.once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    assert {(bar.symbol, bar.start.minute) for bar in bars} == {("AMZN", 30), ("AAPL", 30)}
    bars = asked.once(datetime(2026, 11, 23, 14, 36, 16, tzinfo=UTC))
    assert sorted(bar.start.minute for bar in bars if bar.symbol == "AMZN") == [32, 34]


def test_a_bar_that_yahoo_corrects_is_given_again(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    asked.once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    first = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    market.corrected["AMZN", first] = 222.0
    bars = asked.once(datetime(2026, 11, 23, 14, 34, 16, tzinfo=UTC))
    assert next((bar.start, bar.close) for bar in bars if bar.symbol == "AMZN") == (first, 222.0)
    assert [bar.start.minute for bar in bars if bar.symbol == "AAPL"] == [32]


def test_rows_of_nulls_are_left_out_and_a_halt_is_covered(asked: Asked, market: Market) -> None:
    market.holes.add(datetime(2026, 11, 20, 15, tzinfo=UTC))
    market.halted["AAPL"] = (datetime(2026, 11, 20, 18, tzinfo=UTC), FRIDAY_EVENING)
    bars = asked.until_it_rests()
    assert len([bar for bar in bars if bar.symbol == "AMZN"]) == 3 * 195 - 1
    assert len([bar for bar in bars if bar.symbol == "AAPL"]) == 3 * 195 - 1 - 90
    assert asked.coverage["AAPL"].covered_until == LAST_BAR
    assert asked.coverage["AAPL"].newest_bar == datetime(2026, 11, 20, 17, 58, tzinfo=UTC)


def test_a_halt_in_an_open_market_is_covered_and_what_comes_late_is_still_given(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    half_past = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    market.holes.add(half_past)  # Yahoo has it a few minutes later than it should
    asked.once(half_past + timedelta(minutes=2, seconds=16))
    assert asked.coverage["AMZN"].covered_until == half_past
    market.holes.clear()
    bars = asked.once(half_past + timedelta(minutes=8, seconds=16))
    assert [bar.start.minute for bar in bars if bar.symbol == "AMZN"] == [30, 32, 34, 36]


def test_after_the_close_there_is_one_more_request_and_then_none(asked: Asked, market: Market) -> None:
    close = datetime(2026, 11, 20, 21, tzinfo=UTC)
    market.holes.add(LAST_BAR)
    asked.once(close + timedelta(seconds=16))
    later = close + timedelta(minutes=10, seconds=15)
    assert asked.coverage["AMZN"].next_due == later
    market.holes.clear()
    bars = asked.once(later + timedelta(seconds=1))
    assert {bar.start for bar in bars if bar.symbol == "AMZN"} == {LAST_BAR}
    assert asked.source.pause(asked.coverage, later + timedelta(seconds=2)) is None


def test_a_producer_that_starts_anew_publishes_the_overlap_again_and_loses_nothing(
    asked: Asked, market: Market, server: YahooServer, tmp_path: Path
) -> None:
    asked.until_it_rests()
    fresh = Asked(server, tmp_path, "AMZN", "AAPL")
    fresh.coverage = asked.coverage
    bars = fresh.once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    starts = sorted(bar.start for bar in bars if bar.symbol == "AMZN")
    assert starts[-1] == datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert starts[-2] == LAST_BAR


def test_a_symbol_that_was_never_asked_has_a_row_to_be_judged_by(asked: Asked) -> None:
    rows = asked.source.watched_rows([], FRIDAY_EVENING)
    assert [(row.symbol, row.newest_bar) for row in rows] == [("AMZN", None), ("AAPL", None)]


def test_an_open_market_keeps_the_producer_wanted_between_long_bars(asked: Asked, market: Market) -> None:
    asked.source.interval = "1h"
    noon = datetime(2026, 11, 20, 17, 5, tzinfo=UTC)
    asked.once(noon)
    assert asked.source.is_due(list(asked.coverage.values()), noon + timedelta(minutes=5))


def test_a_symbol_that_is_removed_is_not_asked_for_and_not_judged(asked: Asked, market: Market) -> None:
    asked.until_it_rests()
    asked.source.watched = lambda: ("AAPL",)
    bars = asked.once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    assert {bar.symbol for bar in bars} == {"AAPL"}
    rows = asked.source.watched_rows(list(asked.coverage.values()), asked.clock())
    assert [row.symbol for row in rows] == ["AAPL"]


def test_bars_before_the_open_and_after_the_close_are_an_option(asked: Asked, market: Market) -> None:
    asked.source.extended = True
    bars = asked.until_it_rests()
    friday = [bar.start for bar in bars if bar.symbol == "AMZN" and bar.start.day == 20]
    assert friday[0] == datetime(2026, 11, 20, 9, tzinfo=UTC)  # 4:00 in New York
    assert friday[-1] == datetime(2026, 11, 20, 22, 56, tzinfo=UTC)  # that is how late it is; trade ends at 20:00
    assert len(friday) == len(set(friday)) == 30 * (23 - 9) - 1
    bars = asked.once(datetime(2026, 11, 20, 23, 2, 16, tzinfo=UTC))
    assert {bar.start.minute for bar in bars} == {58, 0}


def test_extended_hours_that_are_switched_on_are_added_to_what_is_covered(asked: Asked, market: Market) -> None:
    regular = {(bar.symbol, bar.start) for bar in asked.until_it_rests()}
    asked.source.extended = True
    rows = asked.source.watched_rows(list(asked.coverage.values()), FRIDAY_EVENING)
    assert {row.covered_until for row in rows} == {LAST_BAR}
    assert asked.source.is_due(list(asked.coverage.values()), FRIDAY_EVENING)
    added = [(bar.symbol, bar.start) for bar in asked.until_it_rests()]
    assert len(added) == len(set(added))
    older = {at for at in added if at[1] < LAST_BAR - timedelta(minutes=10)}
    assert older.isdisjoint(regular)  # what was published stays as it is
    assert min(start for _, start in added) == datetime(2026, 11, 18, 9, tzinfo=UTC)  # two days of history, from 4:00


def test_a_hole_from_before_the_history_is_closed_when_extended_hours_are_switched_on(asked: Asked) -> None:
    asked.until_it_rests()
    asked.clock.time = datetime(2026, 11, 27, 23, tzinfo=UTC)  # off for a week; the history is two days
    asked.source.extended = True
    starts = {bar.start.date().day for bar in asked.until_it_rests()}
    assert {23, 24, 25, 27} <= starts


def test_extended_hours_that_are_switched_off_are_not_fetched_anew_and_nothing_is_due_before_the_open(
    asked: Asked, market: Market
) -> None:
    asked.source.extended = True
    asked.until_it_rests()
    requests = len(market.charts())
    asked.source.extended = False
    rows = list(asked.coverage.values())
    monday = datetime(2026, 11, 23, 14, 32, 15, tzinfo=UTC)
    assert not asked.source.is_due(rows, datetime(2026, 11, 23, 10, tzinfo=UTC))
    assert asked.source.is_due(rows, monday - LEAD)
    assert asked.until_it_rests() == []
    assert len(market.charts()) == requests
    assert {bar.start.minute for bar in asked.once(monday + timedelta(seconds=1))} == {30}


def test_requests_are_under_way_side_by_side_but_no_more_than_allowed(asked: Asked, market: Market) -> None:
    symbols = tuple(f"S{number:03d}" for number in range(24))
    asked.source.watched, asked.source.concurrency = (lambda: symbols), 6
    market.slow = dict.fromkeys(symbols, 0.2)
    asked.once(FRIDAY_EVENING)
    assert set(asked.coverage) == set(symbols)
    assert 1 < market.busiest <= 6


def test_a_symbol_is_never_asked_for_twice_at_once(asked: Asked, market: Market) -> None:
    market.slow["AMZN"] = 0.5
    asked.once(FRIDAY_EVENING)
    assert [symbol for symbol, _ in market.charts()].count("AMZN") == 1


def test_what_is_under_way_when_it_is_to_end_is_still_given(asked: Asked, market: Market) -> None:
    market.slow["AMZN"] = 0.5
    stop, symbols = Event(), []
    for batch in asked.source.batches([], stop):
        symbols += [row.symbol for row in batch.coverage]
        stop.set()
    assert symbols == ["AAPL", "AMZN"]


def test_what_yahoo_no_longer_sells_is_a_gap_that_is_written_down(asked: Asked) -> None:
    asked.until_it_rests()
    february = datetime(2027, 2, 26, 23, tzinfo=UTC)
    asked.once(february)
    [gap] = [gap for batch in asked.batches for gap in batch.gaps if gap.symbol == "AMZN"]
    assert gap.begins_at == LAST_BAR + timedelta(minutes=2)
    assert gap.ends_at == february - timedelta(days=60) + timedelta(minutes=2)


def test_a_session_is_asked_for_again_as_it_was_traded(asked: Asked) -> None:
    given = [bar for bar in asked.until_it_rests() if bar.symbol == "AMZN" and bar.start.day == 20]
    another = YahooSource(**{**vars(asked.source), "recent_bars": RecentBars()})  # a repair is a process of its own
    opened, closed = given[0].start, given[-1].start + timedelta(minutes=2)
    assert another.bars_between("AMZN", "2m", opened, closed) == given
