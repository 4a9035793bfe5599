"""Fetch something for many symbols, and retry those that failed."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from spark_streaming.contract.backoff import delay_seconds
from stock_assets.sources.base import FetchFailure

PAUSES = tuple(delay_seconds(attempt, first=20, longest=80) for attempt in (1, 2, 3))  # seconds before each retry

T = TypeVar("T")


@dataclass(frozen=True)
class FetchResult(Generic[T]):
    """What was fetched, what failed in the end, and the number of answers of each kind."""

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
    """`ask` for the symbols and `keep` each answer at once; after each of `pauses` retry the failures that are not
    final."""
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
