import json
from datetime import UTC, datetime, timedelta

import pytest

from spark_streaming.contract.schema import (
    HEADER_ERROR,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_REASON,
    HEADER_SETTLEMENT,
    HEADER_TOPIC,
)
from stock_assets.pipeline.dead_letters import (
    DeadLetter,
    DeadLetterCount,
    Settlement,
    SettlementOutcome,
    count_dead_letters,
    dead_letters_in,
    settlement_headers,
)
from stock_assets.pipeline.kafka_records import KafkaRecord
from stock_assets_tests.store.ledgers import accounts

SENT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
LATER = SENT + timedelta(hours=1)


def written(offset: int, symbol: str = "AMZN", reason: str = "no-close", kept_in: int = 0) -> KafkaRecord:
    """A letter of partition 2 as it lies in its topic."""
    headers = {
        HEADER_REASON: reason.encode(), HEADER_ERROR: b"There is none.", HEADER_TOPIC: b"prices",
        HEADER_PARTITION: b"2", HEADER_OFFSET: str(offset).encode(),
    }  # fmt: skip
    return KafkaRecord("dead", kept_in, 0, symbol.encode(), json.dumps({"symbol": symbol}).encode(), headers, SENT)


def settled(
    offset: int, outcome: SettlementOutcome = SettlementOutcome.DISMISSED, note: str = "", at: datetime = LATER
) -> KafkaRecord:
    """What the command writes for the letter."""
    [letter] = dead_letters_in([written(offset)])
    return KafkaRecord("dead", 0, 1, None, b"", dict(settlement_headers(letter, outcome, note)), at)


def the_letter(*records: KafkaRecord) -> DeadLetter:
    [letter] = dead_letters_in(records)
    return letter


def test_a_letter_is_open_until_it_is_settled() -> None:
    letter = the_letter(written(5, kept_in=3))
    assert (letter.topic, letter.partition, letter.offset, letter.kept_in, letter.state) == ("prices", 2, 5, 3, "open")
    letter = the_letter(written(5), settled(5, note="a test of mine"))
    assert (letter.reason, letter.state) == ("no-close", "dismissed")
    assert letter.settlement == Settlement(SettlementOutcome.DISMISSED, LATER, "a test of mine")
    assert str(letter.settlement) == "dismissed 2026-11-20 16:00:00Z: a test of mine"


def test_a_letter_that_a_retried_batch_writes_again_stays_settled_and_is_one() -> None:
    records = [written(5), written(5), settled(5), written(5)]
    assert the_letter(*records).state == "dismissed"
    assert count_dead_letters(records) == [DeadLetterCount("AMZN", "no-close", 0, 1)]


def test_the_newest_settlement_counts_in_whatever_order_the_partitions_are_read() -> None:
    newer, older = settled(5, SettlementOutcome.REPLAYED, at=LATER), settled(5, SettlementOutcome.DISMISSED, at=SENT)
    assert the_letter(newer, written(5), older).state == "replayed"
    assert the_letter(older, newer, written(5)).state == "replayed"


def test_what_was_put_back_and_refused_again_is_another_letter_and_open() -> None:
    first, again = dead_letters_in([written(5), settled(5, SettlementOutcome.REPLAYED), written(9)])
    assert (first.state, again.offset, again.state) == ("replayed", 9, "open")


def test_a_settlement_of_a_letter_that_retention_has_taken_is_none() -> None:
    assert dead_letters_in([settled(5)]) == []
    assert count_dead_letters([settled(5)]) == []


def test_letters_are_counted_by_symbol_and_reason() -> None:
    records = [written(5), written(6), settled(5), written(7, "AAPL"), written(8, reason="no-key")]
    assert count_dead_letters(records) == [
        DeadLetterCount("AAPL", "no-close", 1, 0),
        DeadLetterCount("AMZN", "no-close", 1, 1),
        DeadLetterCount("AMZN", "no-key", 1, 0),
    ]


def test_the_books_count_what_they_counted_before() -> None:
    refused = KafkaRecord("prices", 2, 5, b"AMZN", b"{}", {}, SENT)
    before = accounts([refused], [written(5)], {})
    assert [(row.symbol, row.published, row.dead_lettered, row.missing) for row in before] == [("AMZN", 1, 1, 0)]
    assert accounts([refused], [written(5), settled(5), settled(5)], {}) == before


def test_an_outcome_that_nobody_knows_is_an_error() -> None:
    unknown = settled(5)
    headers = {**unknown.headers, HEADER_SETTLEMENT: b"forgotten"}
    with pytest.raises(ValueError, match="forgotten"):
        dead_letters_in([written(5), KafkaRecord("dead", 0, 1, None, b"", headers, LATER)])
