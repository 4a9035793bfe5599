from datetime import UTC, datetime

from stock_assets.pipeline.run_records import CheckVerdict, keep_since

EARLIER, LATER = datetime(2026, 11, 20, 15, tzinfo=UTC), datetime(2026, 11, 20, 15, 1, tzinfo=UTC)


def recorded(passed: bool, at: datetime) -> CheckVerdict:
    return CheckVerdict("prices_are_fresh", "influxdb/stock_price_v1", "ERROR", passed, "", [], at, at)


def test_a_repeated_result_keeps_its_begin() -> None:
    assert keep_since(recorded(False, EARLIER), recorded(False, LATER)).since == EARLIER
    assert keep_since(recorded(False, EARLIER), recorded(False, LATER)).judged_at == LATER


def test_another_result_begins_anew() -> None:
    assert keep_since(recorded(False, EARLIER), recorded(True, LATER)).since == LATER
    assert keep_since(None, recorded(True, LATER)).since == LATER
