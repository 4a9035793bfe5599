from datetime import date, datetime, timedelta

from stock_assets.market.calendars import session_on
from stock_assets.market.sessions import SeriesSession, expected_bars
from stock_assets.pipeline.completeness import GapCause, SessionRepair, evaluate_session, missing_bars
from stock_assets.pipeline.coverage import Coverage

DAY = date(2026, 11, 20)
SESSION = SeriesSession("AMZN", "1m", session_on("XNYS", DAY))
BARS = expected_bars(SESSION.session, "1m")
CLOSE = SESSION.session.closed
MINUTE = timedelta(minutes=1)


def covered_until(moment: datetime) -> Coverage:
    return Coverage("AMZN", "1m", "o", moment, moment, "", moment)


def repair(asked_at: datetime | None = None, given: int | None = None) -> SessionRepair:
    return SessionRepair(DAY, "AMZN", "1m", CLOSE, 380, asked_at, given)


def test_a_whole_session_has_no_gap() -> None:
    result = evaluate_session(SESSION, BARS, BARS, covered_until(BARS[-1]), None)
    assert (result.expected, result.stored, result.received, result.recoverable, result.gaps) == (390, 390, 390, 0, [])


def test_a_halt_leaves_nothing_to_recover() -> None:
    halted = BARS[:100] + BARS[110:]
    result = evaluate_session(SESSION, halted, halted, covered_until(BARS[-1]), None)
    assert result.recoverable == 0
    assert [str(gap) for gap in result.gaps] == ["16:10:00 to 16:19:00Z (10: the source has none)"]


def test_what_the_source_gave_and_is_not_stored_is_recoverable() -> None:
    stored = BARS[:50] + BARS[51:]
    result = evaluate_session(SESSION, stored, BARS, covered_until(BARS[-1]), None)
    assert (result.recoverable, result.received, result.stored) == (1, 390, 389)
    assert [(gap.begin, gap.cause) for gap in result.gaps] == [(BARS[50], GapCause.NOT_STORED)]


def test_what_was_not_asked_for_is_recoverable_until_the_source_was_asked_again() -> None:
    half = BARS[:200]
    coverage = covered_until(BARS[199])
    result = evaluate_session(SESSION, half, half, coverage, repair())
    assert [(gap.bars, gap.cause) for gap in result.gaps] == [(190, GapCause.NOT_ASKED)]
    again = evaluate_session(SESSION, half, half, coverage, repair(CLOSE + MINUTE, 0))
    assert again.recoverable == 0


def test_neighbouring_gaps_of_two_causes_are_named_apart() -> None:
    stored, given = BARS[:10], BARS[:12]
    result = evaluate_session(SESSION, stored, given, covered_until(BARS[13]), None)
    assert [(gap.bars, gap.cause) for gap in result.gaps] == [
        (2, GapCause.NOT_STORED),
        (2, GapCause.NOT_GIVEN),
        (376, GapCause.NOT_ASKED),
    ]


def test_a_bar_off_the_grid_counts_for_its_minute_and_others_are_ignored() -> None:
    late = [at + timedelta(seconds=7) for at in BARS]
    before_the_open = SESSION.session.opened - timedelta(minutes=30)
    assert missing_bars(SESSION, [*late, before_the_open, CLOSE]) == []


def test_a_repair_is_stored_once_what_was_given_is_there() -> None:
    asked = repair(CLOSE, 10)
    assert not asked.is_stored(389)
    assert asked.is_stored(390)
    assert not repair().is_stored(390)
