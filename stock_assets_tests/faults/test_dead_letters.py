"""Putting dead letters back: only once their cause is gone, never over a newer correction, once."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.cli.dead_letters import send_back
from infra.cli.letters import BARS, QUOTES, Fate, Letter, fates, grouped, known_reason, letters_of, shown
from infra.settings import StackSettings
from spark_streaming.contract.schema import SourceNames
from stock_assets.market.accounting import Message
from stock_assets.resources.kafka import KafkaResource
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.cases import BAR, QUOTE, SENT
from stock_assets_tests.spark_streaming.conftest import Launcher
from stock_assets_tests.spark_streaming.influxdb import figures_in, points_in
from stock_assets_tests.spark_streaming.kafka import send

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def value(**changes: object) -> bytes:
    return json.dumps(BAR | changes).encode()


def message(offset: int, partition: int = 1, **changes: object) -> Message:
    return Message("prices", partition, offset, b"AMZN", value(**changes), {}, SENT)


def letter(offset: int = 7, **changes: object) -> Letter:
    text = value(**changes)
    return Letter("prices", 1, offset, "refused-by-database", "field type conflict", b"AMZN", text, SENT)


def fate_of(one: Letter, *messages: Message) -> Fate:
    ((_, fate),) = fates([one], [message(one.offset), *messages], NOW, BARS)
    return fate


def test_a_letter_whose_cause_is_gone_goes_back() -> None:
    assert fate_of(letter()) is Fate.REPLAY


def test_an_earlier_message_or_one_about_another_bar_is_no_correction() -> None:
    others = [message(8, interval="1d"), message(9, timestamp="2024-11-20T14:31:00Z"), message(9, symbol="AAPL")]
    assert fate_of(letter(), message(6, close=217.3), *others) is Fate.REPLAY


def test_a_later_message_about_the_bar_is_not_overwritten() -> None:
    assert fate_of(letter(), message(8, close=217.3)) is Fate.NEWER


def test_offsets_of_another_partition_do_not_say_which_is_newer() -> None:
    assert fate_of(letter(), message(2, partition=0)) is Fate.NEWER


def test_what_was_put_back_is_not_put_back_again() -> None:
    assert fate_of(letter(), message(8)) is Fate.NEWER


def test_what_is_still_invalid_stays() -> None:
    assert fate_of(letter(high=1.0)) is Fate.STILL
    assert fate_of(replace(letter(), value=b"\xff")) is Fate.STILL


def test_a_time_that_was_in_the_future_is_so_no_more() -> None:
    assert fate_of(letter(timestamp="2026-11-20T14:30:00Z")) is Fate.REPLAY


def test_of_two_letters_about_one_bar_the_later_one_goes_back() -> None:
    told = fates([letter(7), letter(8)], [message(7), message(8)], NOW, BARS)
    assert [fate for _, fate in told] == [Fate.NEWER, Fate.REPLAY]


def test_a_quote_goes_back_beside_others_of_its_millisecond_and_once_only() -> None:
    def quote(**changes: object) -> bytes:
        return json.dumps(QUOTE | changes).encode()

    one = replace(letter(), value=quote())
    earlier, beside, again = (
        Message("quotes", 1, offset, b"AMZN", text, {}, SENT)
        for offset, text in ((7, quote()), (8, quote(price=217.2)), (9, quote()))
    )
    assert fates([one], [earlier, beside], NOW, QUOTES) == [(one, Fate.REPLAY)]
    assert fates([one], [earlier, beside, again], NOW, QUOTES) == [(one, Fate.NEWER)]
    assert fates([replace(one, value=quote(price=0))], [], NOW, QUOTES)[0][1] is Fate.STILL


def test_a_record_that_was_dead_lettered_twice_counts_once() -> None:
    headers = {"reason": b"no-key", "error": b"e", "source.topic": b"prices"}
    at = {"source.partition": b"2", "source.offset": b"5"}
    letters = letters_of(Message("dead", 0, n, None, b"x", headers | at, SENT) for n in range(2))
    assert [(one.partition, one.offset, one.topic) for one in letters] == [(2, 5, "prices")]
    assert [(group.reason, group.count, group.newest) for group in grouped(letters)] == [("no-key", 1, SENT)]


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "(none)"), (b"AMZN", "AMZN"), (b"\xff\x1b[31m", "\\xff\\x1b[31m"), ("株\n".encode(), "株\\n")],
)
def test_bytes_are_shown_safely(content: bytes | None, text: str) -> None:
    assert shown(content) == text


def test_a_long_value_is_cut() -> None:
    assert shown(b"x" * 9_000).endswith("… (9,000 bytes)")


def test_a_reason_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no-such is no reason; there are no-value"):
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
    letters = letters_of(kafka.messages(fresh_topic.dead_letter_topic))
    told = fates(letters, kafka.messages(fresh_topic.topic), datetime.now(UTC), BARS)
    assert {one.key: fate for one, fate in told} == {b"A": Fate.REPLAY, b"B": Fate.NEWER, b"C": Fate.STILL}
    send_back(kafka, fresh_topic.topic, [one for one, fate in told if fate is Fate.REPLAY])
    again = fates(letters, kafka.messages(fresh_topic.topic), datetime.now(UTC), BARS)
    assert Fate.REPLAY not in [fate for _, fate in again]

    assert launcher.start("--available-now").end() == 0
    volumes = {symbol: fields["volume"] for (symbol, _, _), fields in points_in(fresh_bucket).items()}
    assert volumes == {"A": BAR["volume"], "B": 1, "D": BAR["volume"]}
