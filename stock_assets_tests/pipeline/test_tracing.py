import json
from datetime import UTC, datetime

import pytest

from spark_streaming.contract.schema import HEADER_ERROR, HEADER_OFFSET, HEADER_PARTITION, HEADER_REASON
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.dead_letters import SettlementOutcome, dead_letters_in, settlement_headers
from stock_assets.pipeline.kafka_records import KafkaRecord
from stock_assets.pipeline.tracing import TimeRange, describe_coverage, trace_messages, trace_range

START = datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
DAY = TimeRange(datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 3, 2, tzinfo=UTC))
POINT = {("1d", START): {"close": 430.47, "high": 438.18, "low": 429.98, "open": 438.0, "volume": 138112100}}


def message(offset: int, day: int = 1, symbol: str = "AAPL") -> KafkaRecord:
    value = {"symbol": symbol, "interval": "1d", "timestamp": f"2013-03-{day:02}T14:30:00Z"}
    return KafkaRecord("t", 2, offset, symbol.encode(), json.dumps(value).encode(), {})


def dead_lettered(of: KafkaRecord) -> KafkaRecord:
    headers = {
        HEADER_PARTITION: str(of.partition).encode(),
        HEADER_OFFSET: str(of.offset).encode(),
        HEADER_REASON: b"price-not-positive",
        HEADER_ERROR: b"A price is zero or negative.",
    }
    return KafkaRecord("t.dead-letter", 0, 0, of.key, of.value, headers)


def fates(messages: list[KafkaRecord], dead_letters: list[KafkaRecord], stored: dict, done: int) -> list[str]:  # type: ignore[type-arg]
    return [s.fate for s in trace_messages("AAPL", DAY, messages, dead_letters, stored, {2: done})]


def test_a_stored_bar_is_shown_with_its_values() -> None:
    fate = "stored: open 438.0, high 438.18, low 429.98, close 430.47, volume 138,112,100"
    assert fates([message(0)], [], POINT, 1) == [fate]


def test_a_correction_supersedes() -> None:
    assert fates([message(0), message(1)], [], POINT, 2)[0] == "superseded by a later message"


def test_a_dead_lettered_correction_supersedes_nothing() -> None:
    found = fates([message(0), message(1)], [dead_lettered(message(1))], POINT, 2)
    assert found[0].startswith("stored")


def test_a_dead_letter_is_shown_with_its_reason() -> None:
    found = fates([message(0)], [dead_lettered(message(0))], {}, 1)
    assert found == ["dead-lettered: price-not-positive. A price is zero or negative."]


def test_a_settled_dead_letter_shows_its_outcome_also_where_it_was_requeued() -> None:
    [letter] = dead_letters_in([dead_lettered(message(0))])
    headers = dict(settlement_headers(letter, SettlementOutcome.REPLAYED))
    settled = KafkaRecord("t.dead-letter", 0, 1, None, b"", headers, datetime(2013, 3, 2, 15, tzinfo=UTC))
    found = fates([message(0), message(4)], [settled, dead_lettered(message(0))], POINT, 5)
    assert found[0] == (
        "dead-lettered: price-not-positive. A price is zero or negative. It was replayed 2013-03-02 15:00:00Z"
    )
    assert found[1].startswith("stored")


def test_what_the_stream_has_not_read_yet_is_not_lost_and_what_it_skipped_is() -> None:
    [coming] = trace_messages("AAPL", DAY, [message(5)], [], {}, {2: 5})
    [lost] = trace_messages("AAPL", DAY, [message(5)], [], {}, {2: 6})
    assert not coming.is_lost
    assert lost.is_lost


def test_other_days_and_other_symbols_are_left_out() -> None:
    assert fates([message(0, day=4), message(1, symbol="IBM")], [], {}, 2) == []


def test_a_date_is_a_session_and_a_time_is_a_second() -> None:
    assert START in trace_range("AAPL", "2013-03-01")
    assert trace_range("AAPL", "2013-03-01T09:30:00-05:00").begin == START
    with pytest.raises(ValueError, match="no trading day"):
        trace_range("AAPL", "2013-03-02")
    with pytest.raises(ValueError, match="names no time zone"):
        trace_range("AAPL", "2013-03-01T09:30:00")


@pytest.mark.parametrize(
    ("until", "due", "fate"),
    [(1, None, "answer 'ok'"), (2, 1, "not asked for that day yet"), (2, None, "has given all that it has")],
)
def test_the_answer_of_the_source_is_shown(until: int, due: int | None, fate: str) -> None:
    covered = START if until == 1 else datetime(2013, 2, 1, tzinfo=UTC)
    row = Coverage("AAPL", "1d", "a file", covered, covered, "ok", START if due else None)
    assert fate in describe_coverage([row], DAY)[0]


def test_a_symbol_that_was_never_requested_is_reported() -> None:
    assert describe_coverage([], DAY) == ["the source has never been asked for this symbol"]
