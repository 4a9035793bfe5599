from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Event

from spark_streaming.contract.quote_validity import quote_rejection_reason
from stock_assets.sources.simulated.quotes import SimulatedQuotes
from stock_assets.sources.simulated.source import SimulatedSource

BEGIN = datetime(2026, 11, 20, 14, 59, 58, tzinfo=UTC)
BARS = SimulatedSource(["AMZN", "BTC-USD"], 7, BEGIN, bars=10)


def test_quotes_match_the_bars_and_are_the_same_each_time() -> None:
    bar = BARS.bar("AMZN", BEGIN)
    opened, closed = SimulatedQuotes(BARS).quotes_in_second("AMZN", BEGIN)
    assert (opened.price, closed.price) == (bar.open, bar.close)
    assert BEGIN <= opened.time < closed.time < BEGIN + timedelta(seconds=1)
    assert SimulatedQuotes(BARS).quotes_in_second("AMZN", BEGIN) == [opened, closed]


def test_the_day_volume_is_the_sum_of_the_bars_and_grows_across_hours() -> None:
    quotes = [q for n in range(4) for q in SimulatedQuotes(BARS).quotes_in_second("AMZN", BEGIN + timedelta(seconds=n))]
    traded = [quote.day_volume or 0 for quote in quotes]
    assert [later - earlier for earlier, later in pairwise(traded)] == [quote.last_size for quote in quotes[1:]]


def test_every_quote_is_valid_and_given_at_the_end_of_its_second() -> None:
    stop = Event()
    batches = SimulatedQuotes(BARS).batches(stop)
    quotes = next(batches)
    assert {quote.symbol for quote in quotes} == {"AMZN", "BTC-USD"}
    assert all(timedelta(0) < datetime.now(UTC) - quote.time < timedelta(seconds=5) for quote in quotes)
    assert all(quote_rejection_reason(quote.key, quote.value, datetime.now(UTC)) is None for quote in quotes)
    stop.set()
    assert list(batches) == []
