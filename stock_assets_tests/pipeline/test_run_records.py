from datetime import UTC, datetime

from stock_assets.pipeline.run_records import CheckVerdict, keep_since

EARLIER, LATER = datetime(2026, 11, 20, 15, tzinfo=UTC), datetime(2026, 11, 20, 15, 1, tzinfo=UTC)


def verdict(passed: bool, at: datetime) -> CheckVerdict:
    return CheckVerdict("prices_are_fresh", "influxdb/stock_price_v1", "ERROR", passed, "", [], at, at)


def test_a_verdict_that_is_repeated_goes_on_since_it_began() -> None:
    assert keep_since(verdict(False, EARLIER), verdict(False, LATER)).since == EARLIER
    assert keep_since(verdict(False, EARLIER), verdict(False, LATER)).judged_at == LATER


def test_another_verdict_begins_anew() -> None:
    assert keep_since(verdict(False, EARLIER), verdict(True, LATER)).since == LATER
    assert keep_since(None, verdict(True, LATER)).since == LATER
