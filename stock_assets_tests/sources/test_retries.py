from collections.abc import Iterator, Sequence

from stock_assets.sources.base import FetchFailure
from stock_assets.sources.retries import fetch_with_retries


class Source:
    """Refuses each symbol as often as it is told; unknown ones for good."""

    def __init__(self, **refusals: int) -> None:
        self.left, self.asked = dict(refusals), list[list[str]]()

    def __call__(self, symbols: Sequence[str]) -> Iterator[str | FetchFailure]:
        self.asked.append(list(symbols))
        for symbol in symbols:
            if symbol == "GONE":
                yield FetchFailure(symbol, "unknown symbol", "GONE is not known", is_final=True)
            elif self.left.get(symbol, 0) > 0:
                self.left[symbol] -= 1
                yield FetchFailure(symbol, "timed out", f"{symbol} timed out")
            else:
                yield symbol


def test_only_who_failed_is_asked_for_again() -> None:
    source, kept, slept = Source(AMZN=2), list[str](), list[float]()
    asked = fetch_with_retries(source, ["AAPL", "AMZN", "GONE"], kept.append, slept.append, pauses=(1, 2, 3))
    assert source.asked == [["AAPL", "AMZN", "GONE"], ["AMZN"], ["AMZN"]]
    assert kept == asked.found == ["AAPL", "AMZN"]
    assert slept == [1, 2]
    assert [refusal.symbol for refusal in asked.failures] == ["GONE"]
    assert asked.answers == {"ok": 2, "timed out": 2, "unknown symbol": 1}


def test_who_fails_to_the_end_is_named_and_costs_nobody_else() -> None:
    kept = list[str]()
    asked = fetch_with_retries(Source(AMZN=9), ["AMZN", "AAPL"], kept.append, lambda _: None, pauses=(1, 2))
    assert kept == ["AAPL"]
    assert [refusal.why for refusal in asked.failures] == ["AMZN timed out"]
    assert asked.answers == {"ok": 1, "timed out": 3}


def test_nobody_to_ask_for_is_no_failure() -> None:
    assert fetch_with_retries(Source(), [], print, print).failures == []
