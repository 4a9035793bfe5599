"""Requeuing dead letters: only once their cause is fixed, never over a newer correction, and once."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.cli.dead_letters import send_back, settle
from infra.settings import StackSettings
from spark_streaming.contract.schema import SourceNames
from stock_assets.pipeline.dead_letters import DeadLetter, Settlement, SettlementOutcome, dead_letters_in
from stock_assets.pipeline.kafka_records import KafkaRecord
from stock_assets.pipeline.requeue_policy import (
    BARS,
    QUOTES,
    DeadLetterFilter,
    RequeueDecision,
    group_dead_letters,
    known_reason,
    requeue_decisions,
    shown,
)
from stock_assets.resources.kafka import KafkaResource
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.cases import BAR, QUOTE, SENT
from stock_assets_tests.spark_streaming.conftest import Launcher
from stock_assets_tests.spark_streaming.influxdb_points import figures_in, points_in
from stock_assets_tests.spark_streaming.kafka_messages import send
from stock_assets_tests.store.ledgers import accounts

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def value(**changes: object) -> bytes:
    return json.dumps(BAR | changes).encode()


def message(offset: int, partition: int = 1, **changes: object) -> KafkaRecord:
    return KafkaRecord("prices", partition, offset, b"AMZN", value(**changes), {}, SENT)


def dead_letter(offset: int = 7, **changes: object) -> DeadLetter:
    text = value(**changes)
    return DeadLetter("prices", 1, offset, "refused-by-database", "field type conflict", b"AMZN", text, SENT)


def fate_of(one: DeadLetter, *messages: KafkaRecord) -> RequeueDecision:
    ((_, fate),) = requeue_decisions([one], DeadLetterFilter(), [message(one.offset), *messages], NOW, BARS)
    return fate


def test_a_dead_letter_whose_cause_is_fixed_is_requeued() -> None:
    assert fate_of(dead_letter()) is RequeueDecision.REQUEUE


def test_an_earlier_message_or_one_about_another_bar_is_no_correction() -> None:
    others = [message(8, interval="1d"), message(9, timestamp="2024-11-20T14:31:00Z"), message(9, symbol="AAPL")]
    assert fate_of(dead_letter(), message(6, close=217.3), *others) is RequeueDecision.REQUEUE


def test_a_later_message_about_the_bar_is_not_overwritten() -> None:
    assert fate_of(dead_letter(), message(8, close=217.3)) is RequeueDecision.SUPERSEDED


def test_offsets_of_two_partitions_do_not_show_which_is_newer() -> None:
    assert fate_of(dead_letter(), message(2, partition=0)) is RequeueDecision.SUPERSEDED


def test_what_was_requeued_is_settled_and_not_requeued_again_even_after_a_correction() -> None:
    assert fate_of(dead_letter(), message(8)) is RequeueDecision.ALREADY_REQUEUED
    assert fate_of(dead_letter(), message(8), message(9, close=217.3)) is RequeueDecision.ALREADY_REQUEUED
    assert fate_of(dead_letter(), message(6)) is RequeueDecision.REQUEUE
    assert [fate for fate in RequeueDecision if fate.settles] == [
        RequeueDecision.REQUEUE,
        RequeueDecision.ALREADY_REQUEUED,
    ]


def test_what_is_still_invalid_stays() -> None:
    assert fate_of(dead_letter(high=1.0)) is RequeueDecision.STILL_INVALID
    assert fate_of(replace(dead_letter(), value=b"\xff")) is RequeueDecision.STILL_INVALID


def test_a_time_that_was_in_the_future_is_valid_later() -> None:
    assert fate_of(dead_letter(timestamp="2026-11-20T14:30:00Z")) is RequeueDecision.REQUEUE


def test_of_two_dead_letters_about_one_bar_the_later_one_is_requeued() -> None:
    decisions = requeue_decisions(
        [dead_letter(7), dead_letter(8, close=217.3)],
        DeadLetterFilter(),
        [message(7), message(8, close=217.3)],
        NOW,
        BARS,
    )
    assert [fate for _, fate in decisions] == [RequeueDecision.SUPERSEDED, RequeueDecision.REQUEUE]


def test_a_message_that_was_refused_itself_and_stays_so_supersedes_nothing() -> None:
    messages = [message(7), message(8, high=1.0)]
    decisions = requeue_decisions([dead_letter(7), dead_letter(8, high=1.0)], DeadLetterFilter(), messages, NOW, BARS)
    assert [fate for _, fate in decisions] == [RequeueDecision.REQUEUE, RequeueDecision.STILL_INVALID]
    dismissed = replace(dead_letter(8, close=217.3), settlement=Settlement(SettlementOutcome.DISMISSED, SENT, ""))
    [(_, fate)] = requeue_decisions(
        [dead_letter(7), dismissed], DeadLetterFilter(), [message(7), message(8, close=217.3)], NOW, BARS
    )
    assert fate is RequeueDecision.REQUEUE


def test_a_dead_letter_of_another_reason_that_may_still_be_requeued_is_not_overwritten() -> None:
    other = replace(dead_letter(8, close=217.3), reason="time-in-future")
    messages = [message(7), message(8, close=217.3)]
    [(_, fate)] = requeue_decisions(
        [dead_letter(7), other], DeadLetterFilter(reason="refused-by-database"), messages, NOW, BARS
    )
    assert fate is RequeueDecision.SUPERSEDED


def test_a_quote_is_requeued_once_also_with_others_of_its_millisecond() -> None:
    def quote(**changes: object) -> bytes:
        return json.dumps(QUOTE | changes).encode()

    one = replace(dead_letter(), value=quote())
    earlier, beside, again = (
        KafkaRecord("quotes", 1, offset, b"AMZN", text, {}, SENT)
        for offset, text in ((7, quote()), (8, quote(price=217.2)), (9, quote()))
    )
    assert requeue_decisions([one], DeadLetterFilter(), [earlier, beside], NOW, QUOTES) == [
        (one, RequeueDecision.REQUEUE)
    ]
    assert requeue_decisions([one], DeadLetterFilter(), [earlier, beside, again], NOW, QUOTES) == [
        (one, RequeueDecision.ALREADY_REQUEUED)
    ]
    assert (
        requeue_decisions([replace(one, value=quote(price=0))], DeadLetterFilter(), [], NOW, QUOTES)[0][1]
        is RequeueDecision.STILL_INVALID
    )


def test_dead_letters_are_counted_by_reason_and_state() -> None:
    settled = replace(dead_letter(8), settlement=Settlement(SettlementOutcome.DISMISSED, SENT, ""))
    counted = [
        (one.reason, one.state, one.count, one.newest)
        for one in group_dead_letters([dead_letter(6), settled, dead_letter(7)])
    ]
    assert counted == [("refused-by-database", "open", 2, SENT), ("refused-by-database", "dismissed", 1, SENT)]


def test_settled_dead_letters_are_left_out_unless_requested_or_named_by_offset() -> None:
    settled = replace(dead_letter(8), settlement=Settlement(SettlementOutcome.DISMISSED, SENT, ""))
    assert dead_letter(7) in DeadLetterFilter()
    assert settled not in DeadLetterFilter()
    assert settled not in DeadLetterFilter(reason=settled.reason, partition=1)
    assert settled in DeadLetterFilter(settled=True)
    assert settled in DeadLetterFilter(partition=1, offset=8)
    assert settled not in DeadLetterFilter(partition=1, offset=7)
    assert dead_letter(7) not in DeadLetterFilter(reason="no-key")


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "(none)"), (b"AMZN", "AMZN"), (b"\xff\x1b[31m", "\\xff\\x1b[31m"), ("株\n".encode(), "株\\n")],
)
def test_bytes_are_shown_safely(content: bytes | None, text: str) -> None:
    assert shown(content) == text


def test_a_long_value_is_cut() -> None:
    assert shown(b"x" * 9_000).endswith("… (9,000 bytes)")


def test_a_reason_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no-such is no reason; the reasons are no-value"):
        known_reason("no-such")


@pytest.mark.services
def test_a_replay_stores_what_can_be_stored_now(
    launcher: Launcher, stack: StackSettings, fresh_topic: SourceNames, fresh_bucket: Bucket
) -> None:
    def bar(symbol: str, **changes: Any) -> tuple[bytes, bytes]:
        return symbol.encode(), value(symbol=symbol, **changes)

    later = "2024-11-22T14:30:00Z"  # two days after it was sent, as a clock that was wrong would have it
    sent = [bar("A", timestamp=later), bar("B", timestamp=later), bar("C", high=1.0), bar("D")]
    send(stack.kafka_address, fresh_topic.topic, sent, SENT)
    assert launcher.start("--available-now").end() == 0
    assert {symbol for symbol, _, _ in points_in(fresh_bucket)} == {"D"}
    assert figures_in(fresh_bucket) == {"batches": 1, "records": 4, "points": 1, "rejected": 3}
    send(stack.kafka_address, fresh_topic.topic, [bar("B", timestamp=later, volume=1)], datetime.now(UTC))

    kafka = KafkaResource(bootstrap_servers=stack.kafka_address)
    dead_letters = dead_letters_in(kafka.messages(fresh_topic.dead_letter_topic))
    decisions = requeue_decisions(
        dead_letters, DeadLetterFilter(), kafka.messages(fresh_topic.topic), datetime.now(UTC), BARS
    )
    assert {one.key: fate for one, fate in decisions} == {
        b"A": RequeueDecision.REQUEUE,
        b"B": RequeueDecision.SUPERSEDED,
        b"C": RequeueDecision.STILL_INVALID,
    }
    send_back(kafka, fresh_topic.topic, [one for one, fate in decisions if fate is RequeueDecision.REQUEUE])
    again = requeue_decisions(
        dead_letters, DeadLetterFilter(), kafka.messages(fresh_topic.topic), datetime.now(UTC), BARS
    )
    assert {one.key: fate for one, fate in again} == {
        b"A": RequeueDecision.ALREADY_REQUEUED,
        b"B": RequeueDecision.SUPERSEDED,
        b"C": RequeueDecision.STILL_INVALID,
    }
    settle(
        kafka, fresh_topic.dead_letter_topic, [one for one, fate in again if fate.settles], SettlementOutcome.REPLAYED
    )

    assert launcher.start("--available-now").end() == 0
    points = points_in(fresh_bucket)
    volumes = {symbol: fields["volume"] for (symbol, _, _), fields in points.items()}
    assert volumes == {"A": BAR["volume"], "B": 1, "D": BAR["volume"]}
    kept = kafka.messages(fresh_topic.dead_letter_topic)
    assert {one.key: one.state for one in dead_letters_in(kept)} == {b"A": "replayed", b"B": "open", b"C": "open"}
    # What was put back has come to Kafka twice: one is stored, and the other stays a dead letter.
    stored = dict.fromkeys(volumes, (1, NOW, NOW))
    books = accounts(kafka.messages(fresh_topic.topic), kafka.messages(fresh_topic.dead_letter_topic), stored)
    assert {row.symbol: (row.published, row.stored, row.dead_lettered) for row in books} == {
        "A": (2, 1, 1), "B": (2, 1, 1), "C": (1, 0, 1), "D": (1, 1, 0),
    }  # fmt: skip
