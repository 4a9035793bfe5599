from datetime import UTC, datetime, timedelta

from stock_assets.pipeline.accounting import (
    MOST_IN_A_SPAN,
    PublishedBar,
    UnreadableMessage,
    read_message,
    spans,
    unstored,
)
from stock_assets.pipeline.kafka_records import KafkaRecord

START = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
VALUES = (10.0, 11.0, 9.0, 10.5, 100.0)


def published(minutes: int = 0, symbol: str = "AAPL", interval: str = "1m") -> PublishedBar:
    return PublishedBar(symbol, interval, START + timedelta(minutes=minutes), 2, 7, VALUES)


def test_a_bar_is_named_where_it_is_lost_and_where_its_correction_is() -> None:
    assert unstored(published(), VALUES) is None
    assert str(unstored(published(), None)) == "AAPL 1m 2026-11-20T14:30:00Z (not stored; partition 2, offset 7)"
    older = (10.0, 11.0, 9.0, 10.4, 100.0)
    assert "its correction is lost" in str(unstored(published(), older))


def test_a_point_without_a_field_is_no_stored_bar() -> None:
    assert unstored(published(), VALUES[:4]) is not None


def test_bars_near_each_other_are_one_request_and_others_are_not() -> None:
    bars = [published(0), published(1), published(6 * 24 * 60), published(0, "MSFT"), published(0, "MSFT", "2m")]
    assert [len(span) for span in spans(bars)] == [2, 1, 1, 1]
    assert [len(span) for span in spans(published(n) for n in range(MOST_IN_A_SPAN + 1))] == [MOST_IN_A_SPAN, 1]


def test_a_message_without_a_bar_is_recognised() -> None:
    value = b'{"symbol": "AAPL", "interval": "1m", "timestamp": "2026-11-20T14:30:00Z", "open": 1}'
    message = read_message(KafkaRecord("t", 0, 1, b"AAPL", value, {}))
    assert message == PublishedBar("AAPL", "1m", START, 0, 1, (1.0,))
    naive = value.replace(b"00Z", b"00")
    assert read_message(KafkaRecord("t", 0, 1, b"AAPL", naive, {})) == UnreadableMessage("AAPL", 0, 1)
