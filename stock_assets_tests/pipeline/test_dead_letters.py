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
    """A found of partition 2 as it lies in its topic."""
    headers = {
        HEADER_REASON: reason.encode(), HEADER_ERROR: b"There is none.", HEADER_TOPIC: b"prices",
        HEADER_PARTITION: b"2", HEADER_OFFSET: str(offset).encode(),
    }  # fmt: skip
    return KafkaRecord("dead", kept_in, 0, symbol.encode(), json.dumps({"symbol": symbol}).encode(), headers, SENT)


def settled(
    offset: int, outcome: SettlementOutcome = SettlementOutcome.DISMISSED, note: str = "", at: datetime = LATER
) -> KafkaRecord:
    """What the command writes for the found."""
    [found] = dead_letters_in([written(offset)])
    return KafkaRecord("dead", 0, 1, None, b"", dict(settlement_headers(found, outcome, note)), at)


def only_dead_letter(*records: KafkaRecord) -> DeadLetter:
    [found] = dead_letters_in(records)
    return found


def test_a_dead_letter_is_open_until_it_is_settled() -> None:
    found = only_dead_letter(written(5, kept_in=3))
    assert (found.topic, found.partition, found.offset, found.kept_in, found.state) == ("prices", 2, 5, 3, "open")
    found = only_dead_letter(written(5), settled(5, note="a test of mine"))
    assert (found.reason, found.state) == ("no-close", "dismissed")
    assert found.settlement == Settlement(SettlementOutcome.DISMISSED, LATER, "a test of mine")
    assert str(found.settlement) == "dismissed 2026-11-20 16:00:00Z: a test of mine"


def test_a_dead_letter_that_a_retried_batch_writes_again_stays_settled_and_counts_once() -> None:
    records = [written(5), written(5), settled(5), written(5)]
    assert only_dead_letter(*records).state == "dismissed"
    assert count_dead_letters(records) == [DeadLetterCount("AMZN", "no-close", 0, 1)]


def test_the_newest_settlement_counts_in_whatever_order_the_partitions_are_read() -> None:
    newer, older = settled(5, SettlementOutcome.REPLAYED, at=LATER), settled(5, SettlementOutcome.DISMISSED, at=SENT)
    assert only_dead_letter(newer, written(5), older).state == "replayed"
    assert only_dead_letter(older, newer, written(5)).state == "replayed"


def test_what_was_requeued_and_rejected_again_is_another_open_dead_letter() -> None:
    first, again = dead_letters_in([written(5), settled(5, SettlementOutcome.REPLAYED), written(9)])
    assert (first.state, again.offset, again.state) == ("replayed", 9, "open")


def test_a_settlement_of_a_dead_letter_that_retention_has_deleted_is_ignored() -> None:
    assert dead_letters_in([settled(5)]) == []
    assert count_dead_letters([settled(5)]) == []


def test_dead_letters_are_counted_by_symbol_and_reason() -> None:
    records = [written(5), written(6), settled(5), written(7, "AAPL"), written(8, reason="no-key")]
    assert count_dead_letters(records) == [
        DeadLetterCount("AAPL", "no-close", 1, 0),
        DeadLetterCount("AMZN", "no-close", 1, 1),
        DeadLetterCount("AMZN", "no-key", 1, 0),
    ]


def test_settlements_do_not_change_the_accounting() -> None:
    refused = KafkaRecord("prices", 2, 5, b"AMZN", b"{}", {}, SENT)
    before = accounts([refused], [written(5)], {})
    assert [(row.symbol, row.published, row.dead_lettered, row.missing) for row in before] == [("AMZN", 1, 1, 0)]
    assert accounts([refused], [written(5), settled(5), settled(5)], {}) == before


def test_an_unknown_outcome_is_an_error() -> None:
    unknown = settled(5)
    headers = {**unknown.headers, HEADER_SETTLEMENT: b"forgotten"}
    with pytest.raises(ValueError, match="forgotten"):
        dead_letters_in([written(5), KafkaRecord("dead", 0, 1, None, b"", headers, LATER)])
