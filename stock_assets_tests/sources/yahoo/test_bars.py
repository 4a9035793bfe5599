"""Bars of source yahoo: each is given once it is final, and none is lost."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from stock_assets.sources.yahoo.recent_bars import RecentBars
from stock_assets.sources.yahoo.source import START_LEAD, YahooSource
from stock_assets_tests.services.yahoo import Market, YahooServer
from stock_assets_tests.sources.yahoo.harness import FRIDAY_EVENING, LAST_BAR, SourceHarness


def test_a_first_start_gives_every_bar_of_the_history_once(harness: SourceHarness, market: Market) -> None:
    bars = harness.run_until_idle()
    for symbol in ("AMZN", "AAPL"):
        starts = [bar.start for bar in bars if bar.symbol == symbol]
        assert starts == sorted(set(starts))
        assert len(starts) == 3 * 195  # 18, 19 and 20 November at 2 minutes
        assert harness.coverage[symbol].covered_until == LAST_BAR
    assert harness.coverage["AMZN"].newest_bar == LAST_BAR
    assert bars[0].interval == "2m"
    assert len(market.charts()) == 2  # one request for each symbol


def test_no_request_is_sent_until_monday_and_the_producer_is_not_due(harness: SourceHarness, market: Market) -> None:
    harness.run_until_idle()
    requests = len(market.charts())
    harness.clock.time = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert harness.run_until_idle() == []
    assert len(market.charts()) == requests
    rows = list(harness.coverage.values())
    monday = datetime(2026, 11, 23, 14, 32, 15, tzinfo=UTC)
    assert not harness.source.is_due(rows, monday - START_LEAD - timedelta(seconds=1))
    assert harness.source.is_due(rows, monday - START_LEAD)


def test_each_bar_of_an_open_market_is_given_once_it_is_final(harness: SourceHarness, market: Market) -> None:
    harness.run_until_idle()
    bars = harness.run_once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    assert {(bar.symbol, bar.start.minute) for bar in bars} == {("AMZN", 30), ("AAPL", 30)}
    bars = harness.run_once(datetime(2026, 11, 23, 14, 36, 16, tzinfo=UTC))
    assert sorted(bar.start.minute for bar in bars if bar.symbol == "AMZN") == [32, 34]


def test_a_corrected_bar_is_given_again(harness: SourceHarness, market: Market) -> None:
    harness.run_until_idle()
    harness.run_once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    first = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    market.corrected["AMZN", first] = 222.0
    bars = harness.run_once(datetime(2026, 11, 23, 14, 34, 16, tzinfo=UTC))
    assert next((bar.start, bar.close) for bar in bars if bar.symbol == "AMZN") == (first, 222.0)
    assert [bar.start.minute for bar in bars if bar.symbol == "AAPL"] == [32]


def test_rows_of_nulls_are_left_out_and_a_halt_is_covered(harness: SourceHarness, market: Market) -> None:
    market.holes.add(datetime(2026, 11, 20, 15, tzinfo=UTC))
    market.halted["AAPL"] = (datetime(2026, 11, 20, 18, tzinfo=UTC), FRIDAY_EVENING)
    bars = harness.run_until_idle()
    assert len([bar for bar in bars if bar.symbol == "AMZN"]) == 3 * 195 - 1
    assert len([bar for bar in bars if bar.symbol == "AAPL"]) == 3 * 195 - 1 - 90
    assert harness.coverage["AAPL"].covered_until == LAST_BAR
    assert harness.coverage["AAPL"].newest_bar == datetime(2026, 11, 20, 17, 58, tzinfo=UTC)


def test_late_bars_of_an_open_market_are_given_after_they_were_covered(harness: SourceHarness, market: Market) -> None:
    harness.run_until_idle()
    half_past = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    market.holes.add(half_past)  # Yahoo has the bar a few minutes late
    harness.run_once(half_past + timedelta(minutes=2, seconds=16))
    assert harness.coverage["AMZN"].covered_until == half_past
    market.holes.clear()
    bars = harness.run_once(half_past + timedelta(minutes=8, seconds=16))
    assert [bar.start.minute for bar in bars if bar.symbol == "AMZN"] == [30, 32, 34, 36]


def test_after_the_close_there_is_one_more_request_and_then_none(harness: SourceHarness, market: Market) -> None:
    close = datetime(2026, 11, 20, 21, tzinfo=UTC)
    market.holes.add(LAST_BAR)
    harness.run_once(close + timedelta(seconds=16))
    later = close + timedelta(minutes=10, seconds=15)
    assert harness.coverage["AMZN"].next_due == later
    market.holes.clear()
    bars = harness.run_once(later + timedelta(seconds=1))
    assert {bar.start for bar in bars if bar.symbol == "AMZN"} == {LAST_BAR}
    assert harness.source.pause(harness.coverage, later + timedelta(seconds=2)) is None


def test_a_restarted_producer_publishes_the_overlap_again_and_loses_no_bar(
    harness: SourceHarness, market: Market, server: YahooServer, tmp_path: Path
) -> None:
    harness.run_until_idle()
    fresh = SourceHarness(server, tmp_path, "AMZN", "AAPL")
    fresh.coverage = harness.coverage
    bars = fresh.run_once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    starts = sorted(bar.start for bar in bars if bar.symbol == "AMZN")
    assert starts[-1] == datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert starts[-2] == LAST_BAR


def test_a_symbol_without_coverage_has_a_row_for_the_checks(harness: SourceHarness) -> None:
    rows = harness.source.watched_rows([], FRIDAY_EVENING)
    assert [(row.symbol, row.newest_bar) for row in rows] == [("AMZN", None), ("AAPL", None)]


def test_the_producer_is_due_between_long_bars_of_an_open_market(harness: SourceHarness, market: Market) -> None:
    harness.source.interval = "1h"
    noon = datetime(2026, 11, 20, 17, 5, tzinfo=UTC)
    harness.run_once(noon)
    assert harness.source.is_due(list(harness.coverage.values()), noon + timedelta(minutes=5))


def test_a_removed_symbol_is_neither_fetched_nor_checked(harness: SourceHarness, market: Market) -> None:
    harness.run_until_idle()
    harness.source.watched = lambda: ("AAPL",)
    bars = harness.run_once(datetime(2026, 11, 23, 14, 32, 16, tzinfo=UTC))
    assert {bar.symbol for bar in bars} == {"AAPL"}
    rows = harness.source.watched_rows(list(harness.coverage.values()), harness.clock())
    assert [row.symbol for row in rows] == ["AAPL"]


def test_bars_before_the_open_and_after_the_close_are_an_option(harness: SourceHarness, market: Market) -> None:
    harness.source.extended = True
    bars = harness.run_until_idle()
    friday = [bar.start for bar in bars if bar.symbol == "AMZN" and bar.start.day == 20]
    assert friday[0] == datetime(2026, 11, 20, 9, tzinfo=UTC)  # 4:00 in New York
    assert friday[-1] == datetime(2026, 11, 20, 22, 56, tzinfo=UTC)  # the newest now; trading ends at 20:00
    assert len(friday) == len(set(friday)) == 30 * (23 - 9) - 1
    bars = harness.run_once(datetime(2026, 11, 20, 23, 2, 16, tzinfo=UTC))
    assert {bar.start.minute for bar in bars} == {58, 0}


def test_extended_hours_switched_on_are_added_to_the_coverage(harness: SourceHarness, market: Market) -> None:
    regular = {(bar.symbol, bar.start) for bar in harness.run_until_idle()}
    harness.source.extended = True
    rows = harness.source.watched_rows(list(harness.coverage.values()), FRIDAY_EVENING)
    assert {row.covered_until for row in rows} == {LAST_BAR}
    assert harness.source.is_due(list(harness.coverage.values()), FRIDAY_EVENING)
    added = [(bar.symbol, bar.start) for bar in harness.run_until_idle()]
    assert len(added) == len(set(added))
    older = {at for at in added if at[1] < LAST_BAR - timedelta(minutes=10)}
    assert older.isdisjoint(regular)  # published bars are not published again
    assert min(start for _, start in added) == datetime(2026, 11, 18, 9, tzinfo=UTC)  # two days of history, from 4:00


def test_older_missing_bars_are_fetched_when_extended_hours_are_switched_on(harness: SourceHarness) -> None:
    harness.run_until_idle()
    harness.clock.time = datetime(2026, 11, 27, 23, tzinfo=UTC)  # a week later; the history is two days
    harness.source.extended = True
    starts = {bar.start.date().day for bar in harness.run_until_idle()}
    assert {23, 24, 25, 27} <= starts


def test_extended_hours_switched_off_cause_no_request_and_nothing_is_due_before_the_open(
    harness: SourceHarness, market: Market
) -> None:
    harness.source.extended = True
    harness.run_until_idle()
    requests = len(market.charts())
    harness.source.extended = False
    rows = list(harness.coverage.values())
    monday = datetime(2026, 11, 23, 14, 32, 15, tzinfo=UTC)
    assert not harness.source.is_due(rows, datetime(2026, 11, 23, 10, tzinfo=UTC))
    assert harness.source.is_due(rows, monday - START_LEAD)
    assert harness.run_until_idle() == []
    assert len(market.charts()) == requests
    assert {bar.start.minute for bar in harness.run_once(monday + timedelta(seconds=1))} == {30}


def test_requests_are_concurrent_up_to_the_limit(harness: SourceHarness, market: Market) -> None:
    symbols = tuple(f"S{number:03d}" for number in range(24))
    harness.source.watched, harness.source.concurrency = (lambda: symbols), 6
    market.slow = dict.fromkeys(symbols, 0.2)
    harness.run_once(FRIDAY_EVENING)
    assert set(harness.coverage) == set(symbols)
    assert 1 < market.most_concurrent <= 6


def test_no_symbol_has_two_requests_in_flight(harness: SourceHarness, market: Market) -> None:
    market.slow["AMZN"] = 0.5
    harness.run_once(FRIDAY_EVENING)
    assert [symbol for symbol, _ in market.charts()].count("AMZN") == 1


def test_requests_in_flight_at_stop_are_still_given(harness: SourceHarness, market: Market) -> None:
    market.slow["AMZN"] = 0.5
    stop, symbols = Event(), []
    for batch in harness.source.batches([], stop):
        symbols += [row.symbol for row in batch.coverage]
        stop.set()
    assert symbols == ["AAPL", "AMZN"]


def test_bars_that_yahoo_no_longer_has_are_recorded_as_a_gap(harness: SourceHarness) -> None:
    harness.run_until_idle()
    february = datetime(2027, 2, 26, 23, tzinfo=UTC)
    harness.run_once(february)
    [gap] = [gap for batch in harness.batches for gap in batch.gaps if gap.symbol == "AMZN"]
    assert gap.begins_at == LAST_BAR + timedelta(minutes=2)
    assert gap.ends_at == february - timedelta(days=60) + timedelta(minutes=2)


def test_bars_between_gives_a_session_again_as_traded(harness: SourceHarness) -> None:
    given = [bar for bar in harness.run_until_idle() if bar.symbol == "AMZN" and bar.start.day == 20]
    another = YahooSource(**{**vars(harness.source), "recent_bars": RecentBars()})  # a repair runs in another process
    opened, closed = given[0].start, given[-1].start + timedelta(minutes=2)
    assert another.bars_between("AMZN", "2m", opened, closed) == given
