import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spark_streaming.contract.schema import HEADER_OFFSET, HEADER_PARTITION
from stock_assets.pipeline.accounting import Account, PublishedBar, spans
from stock_assets.pipeline.kafka_records import UNATTRIBUTED, KafkaRecord
from stock_assets.store.bar_ledger import BarLedger
from stock_assets_tests.store.ledgers import accounts

OLDEST, NEWEST = datetime(2013, 2, 28, 14, 30, tzinfo=UTC), datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
ALL = {0: 1_000_000}


def bar(offset: int, symbol: str = "AAPL", day: int = 1, partition: int = 0, close: float = 10.5) -> KafkaRecord:
    value = {"symbol": symbol, "interval": "1d", "timestamp": f"2013-03-{day:02}T14:30:00Z", "open": 10, "high": 11,
             "low": 9, "close": close, "volume": 100}  # fmt: skip
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


def test_a_message_that_no_parser_likes_breaks_no_accounting() -> None:
    nested = KafkaRecord("t", 0, 5, b"AAPL", b"[" * 100_000, {})
    listed = KafkaRecord("t", 0, 6, b"AAPL", b'{"symbol": "AAPL", "interval": [], "timestamp": {}}', {})
    [row] = accounts([nested, listed], [dead(nested), dead(listed)], {})
    assert (row.published, row.dead_lettered, row.missing) == (2, 2, 0)
    assert accounts([listed], [], {})[0].missing == 1


def test_what_names_no_symbol_has_a_row_of_its_own() -> None:
    nameless = KafkaRecord("t", 0, 1, None, b"\xff", {})
    rows = accounts([bar(0), nameless], [dead(nameless)], {"AAPL": (1, NEWEST, NEWEST)})
    assert [(row.symbol, row.published, row.missing) for row in rows] == [(UNATTRIBUTED, 1, 0), ("AAPL", 1, 0)]


def open_offsets(ledger: BarLedger, done: dict[int, int]) -> list[int]:
    return [bar.offset for bar in ledger.open_bars(done)]


def test_a_bar_is_open_until_it_is_closed_and_again_once_it_is_corrected(tmp_path: Path) -> None:
    with BarLedger(tmp_path / "bars.sqlite", "a") as ledger:
        ledger.set_positions("t", ledger.add_messages([bar(0), bar(1, day=2)]))
        assert open_offsets(ledger, {0: 1}) == [0]  # the other one is on its way
        ledger.close_bars(ledger.open_bars(ALL))
        assert open_offsets(ledger, ALL) == []
    with BarLedger(tmp_path / "bars.sqlite", "a") as ledger:
        assert ledger.positions("t") == {0: 2}
        ledger.add_messages([bar(2, close=10.6)])
        [corrected] = ledger.open_bars(ALL)
        assert corrected == PublishedBar("AAPL", "1d", NEWEST, 0, 2, (10, 11, 9, 10.6, 100))
        [row] = ledger.accounts({"AAPL": (2, NEWEST, NEWEST)})
        assert (row.published, row.superseded, row.missing) == (2, 1, 0)


def test_a_ledger_about_something_else_begins_anew_and_an_exception_keeps_what_was(tmp_path: Path) -> None:
    path = tmp_path / "bars.sqlite"
    with BarLedger(path, "a") as ledger:
        ledger.set_positions("t", ledger.add_messages([bar(0)]))
    try:
        with BarLedger(path, "a") as ledger:
            ledger.set_positions("t", ledger.add_messages([bar(1, day=2)]))
            raise InterruptedError
    except InterruptedError:
        pass
    with BarLedger(path, "a") as ledger:
        assert ledger.positions("t") == {0: 1}
    with BarLedger(path, "b") as ledger:
        assert (ledger.positions("t"), ledger.accounts({})) == ({}, [])


def test_a_message_that_is_dead_lettered_after_it_was_read_is_no_bar_and_the_one_before_it_counts() -> None:
    first, refused, alone = bar(0), bar(1, close=-1), bar(2, day=2, close=-1)
    with BarLedger(None, "a") as ledger:
        read = ledger.add_messages([first, refused, alone])
        ledger.add_dead_letters([dead(refused), dead(alone)], read)
        [open_bar] = ledger.open_bars(ALL)
        assert (open_bar.start, open_bar.values) == (NEWEST, None)  # the point has to be there; its values are unknown
        [row] = ledger.accounts({"AAPL": (1, NEWEST, NEWEST)})
        assert (row.published, row.superseded, row.dead_lettered, row.missing) == (3, 0, 2, 0)


def test_memory_does_not_grow_with_the_topic(tmp_path: Path) -> None:
    small, large = (_peak_bytes(tmp_path / str(count), count) for count in (12_000, 36_000))
    assert large < 1.3 * small


def _peak_bytes(path: Path, count: int) -> int:
    """The most that Python holds while so many bars are entered, compared and closed."""
    tracemalloc.start()
    with BarLedger(path, "a") as ledger:
        ledger.add_messages(_minutes(count))
        for span in spans(ledger.open_bars(ALL)):
            ledger.close_bars(span)
        assert open_offsets(ledger, ALL) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def _minutes(count: int) -> Iterator[KafkaRecord]:
    for number in range(count):
        at = OLDEST + timedelta(minutes=number)
        prices = '"open":1,"high":1,"low":1,"close":1,"volume":1'
        value = f'{{"symbol":"A","interval":"1m","timestamp":"{at:%Y-%m-%dT%H:%M:%SZ}",{prices}}}'
        yield KafkaRecord("t", 0, number, b"A", value.encode(), {})
