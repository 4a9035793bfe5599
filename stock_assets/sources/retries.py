"""Ask for something of many symbols, and again for those alone that failed."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from stock_assets.sources.base import FetchFailure

PAUSES = (20.0, 40.0, 80.0)  # seconds before each time that it asks again

T = TypeVar("T")


@dataclass(frozen=True)
class FetchResult(Generic[T]):
    """What was answered, who was refused to the end, and how many answers there were of each kind."""

    found: list[T]
    refused: list[FetchFailure]
    answers: Counter[str]


def fetch_with_retries(
    ask: Callable[[Sequence[str]], Iterable[T | FetchFailure]],
    symbols: Sequence[str],
    keep: Callable[[T], None],
    sleep: Callable[[float], None],
    pauses: Sequence[float] = PAUSES,
) -> FetchResult[T]:
    """`ask` for the symbols, `keep` each answer at once, and after a pause ask for those that failed, but for good."""
    found: list[T] = []
    final: list[FetchFailure] = []
    refused: list[FetchFailure] = []
    answers = Counter[str]()
    left = list(symbols)
    for pause in (0.0, *pauses):
        if not left:
            break
        if pause:
            sleep(pause)
        refused = []
        for answer in ask(left):
            if isinstance(answer, FetchFailure):
                answers[answer.kind] += 1
                (final if answer.is_final else refused).append(answer)
            else:
                answers["ok"] += 1
                keep(answer)
                found.append(answer)
        left = [refusal.symbol for refusal in refused]
    return FetchResult(found, final + refused, answers)
