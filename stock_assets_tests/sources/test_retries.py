from collections.abc import Iterator, Sequence

from stock_assets.sources.base import FetchFailure
from stock_assets.sources.retries import fetch_with_retries


class Source:
    """Fails for each symbol as often as `failures` says, and always, with a final failure, for GONE."""

    def __init__(self, **failures: int) -> None:
        self.remaining, self.calls = dict(failures), list[list[str]]()

    def __call__(self, symbols: Sequence[str]) -> Iterator[str | FetchFailure]:
        self.calls.append(list(symbols))
        for symbol in symbols:
            if symbol == "GONE":
                yield FetchFailure(symbol, "unknown symbol", "GONE is not known", is_final=True)
            elif self.remaining.get(symbol, 0) > 0:
                self.remaining[symbol] -= 1
                yield FetchFailure(symbol, "timed out", f"{symbol} timed out")
            else:
                yield symbol


def test_only_failed_symbols_are_fetched_again() -> None:
    source, kept, slept = Source(AMZN=2), list[str](), list[float]()
    result = fetch_with_retries(source, ["AAPL", "AMZN", "GONE"], kept.append, slept.append, pauses=(1, 2, 3))
    assert source.calls == [["AAPL", "AMZN", "GONE"], ["AMZN"], ["AMZN"]]
    assert kept == result.found == ["AAPL", "AMZN"]
    assert slept == [1, 2]
    assert [failure.symbol for failure in result.failures] == ["GONE"]
    assert result.answers == {"ok": 2, "timed out": 2, "unknown symbol": 1}


def test_a_symbol_that_fails_each_time_is_reported_and_affects_no_other() -> None:
    kept = list[str]()
    result = fetch_with_retries(Source(AMZN=9), ["AMZN", "AAPL"], kept.append, lambda _: None, pauses=(1, 2))
    assert kept == ["AAPL"]
    assert [failure.reason for failure in result.failures] == ["AMZN timed out"]
    assert result.answers == {"ok": 1, "timed out": 3}


def test_no_symbols_are_no_failure() -> None:
    assert fetch_with_retries(Source(), [], print, print).failures == []
