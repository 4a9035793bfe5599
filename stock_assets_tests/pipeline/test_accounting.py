import json
from datetime import UTC, datetime

from spark_streaming.contract.schema import HEADER_OFFSET, HEADER_PARTITION
from stock_assets.pipeline.accounting import Account, accounts
from stock_assets.pipeline.kafka_records import UNATTRIBUTED, KafkaRecord

OLDEST, NEWEST = datetime(2013, 2, 28, 14, 30, tzinfo=UTC), datetime(2013, 3, 1, 14, 30, tzinfo=UTC)


def bar(offset: int, symbol: str = "AAPL", day: int = 1, partition: int = 0) -> KafkaRecord:
    value = {"symbol": symbol, "interval": "1d", "timestamp": f"2013-03-{day:02}T14:30:00Z"}
    return KafkaRecord("t", partition, offset, symbol.encode(), json.dumps(value).encode(), {})


def dead(of: KafkaRecord) -> KafkaRecord:
    headers = {HEADER_PARTITION: str(of.partition).encode(), HEADER_OFFSET: str(of.offset).encode()}
    return KafkaRecord("t.dead-letter", 0, 0, of.key, of.value, headers)


def test_every_bar_stored_balances() -> None:
    [row] = accounts([bar(0, day=1), bar(1, day=2)], [], {"AAPL": (2, OLDEST, NEWEST)})
    assert row == Account("AAPL", 2, 0, 2, 0, OLDEST, NEWEST)
    assert row.missing == 0


def test_a_bar_that_came_twice_is_one_and_superseded_once() -> None:
    [row] = accounts([bar(0), bar(1)], [], {"AAPL": (1, NEWEST, NEWEST)})
    assert (row.published, row.superseded, row.missing) == (1, 1, 0)


def test_a_lost_bar_is_missing() -> None:
    [row] = accounts([bar(0, day=1), bar(1, day=2)], [], {"AAPL": (1, OLDEST, OLDEST)})
    assert row.missing == 1


def test_more_stored_than_published_is_seen() -> None:
    [row] = accounts([bar(0)], [], {"AAPL": (2, OLDEST, NEWEST)})
    assert row.missing == -1


def test_a_dead_letter_that_a_retried_batch_wrote_twice_is_one() -> None:
    bad = KafkaRecord("t", 3, 7, b"AAPL", b"{}", {})
    [row] = accounts([bad], [dead(bad), dead(bad)], {})
    assert (row.symbol, row.published, row.dead_lettered, row.missing) == ("AAPL", 1, 1, 0)


def test_a_message_that_no_parser_likes_breaks_no_books() -> None:
    nested = KafkaRecord("t", 0, 5, b"AAPL", b"[" * 100_000, {})
    listed = KafkaRecord("t", 0, 6, b"AAPL", b'{"symbol": "AAPL", "interval": [], "timestamp": {}}', {})
    [row] = accounts([nested, listed], [dead(nested), dead(listed)], {})
    assert (row.published, row.dead_lettered, row.missing) == (2, 2, 0)
    assert accounts([listed], [], {})[0].missing == 1


def test_what_names_no_symbol_has_a_row_of_its_own() -> None:
    nameless = KafkaRecord("t", 0, 1, None, b"\xff", {})
    rows = accounts([bar(0), nameless], [dead(nameless)], {"AAPL": (1, NEWEST, NEWEST)})
    assert [(row.symbol, row.published, row.missing) for row in rows] == [(UNATTRIBUTED, 1, 0), ("AAPL", 1, 0)]
