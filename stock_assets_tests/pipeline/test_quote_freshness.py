from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.pipeline.quote_freshness import by_exchange, evaluate_quotes

GRACE = timedelta(minutes=5)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("symbol", "now", "newest", "passed"),
    [
        ("AMZN", "2026-11-20T15:00:00", "2026-11-20T14:56:00", True),
        ("AMZN", "2026-11-20T15:00:00", "2026-11-20T14:54:00", False),
        ("AMZN", "2026-11-20T15:00:00", None, False),
        ("AMZN", "2026-11-20T14:34:00", None, True),  # open for four minutes
        ("AMZN", "2026-11-20T21:01:00", "2026-11-20T15:00:00", True),  # closed: what was missed can't be had
        ("AMZN", "2025-11-28T18:30:00", None, True),  # a half-day that has closed at 13:00 New York
        ("AMZN", "2025-11-28T17:30:00", None, False),
        ("AMZN", "2025-01-09T16:00:00", None, True),  # the exchange was closed for mourning
        ("SAP.DE", "2026-11-20T12:00:00", "2026-11-20T11:41:00", True),  # shown a quarter of an hour late
        ("SAP.DE", "2026-11-20T12:00:00", "2026-11-20T11:39:00", False),
        ("7203.T", "2026-11-20T03:10:00", "2026-11-20T02:29:00", True),  # Tokyo's lunch, and what is shown of it
        ("BTC-USD", "2026-11-22T03:00:00", "2026-11-22T02:54:00", False),  # a Sunday night
    ],
)
def test_quotes_are_late_only_while_the_market_trades(symbol: str, now: str, newest: str | None, passed: bool) -> None:
    known = {symbol: at(newest)} if newest else {}
    [result] = evaluate_quotes(by_exchange([symbol]), known, GRACE, at(now))
    assert result.passed is passed


def test_a_thinly_traded_symbol_is_not_late_while_another_is_traded() -> None:
    known = {"AMZN": at("2026-11-20T14:59:59")}
    [result] = evaluate_quotes(by_exchange(["THIN", "AMZN"]), known, GRACE, at("2026-11-20T15:00:00"))
    assert result.passed
    assert result.symbols == ("AMZN", "THIN")
