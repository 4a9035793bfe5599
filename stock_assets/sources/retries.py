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
    """What was fetched, the failures that are left after all retries, and the number of answers of each kind."""

    found: list[T]
    failures: list[FetchFailure]
    answers: Counter[str]


def fetch_with_retries(
    fetch: Callable[[Sequence[str]], Iterable[T | FetchFailure]],
    symbols: Sequence[str],
    store: Callable[[T], None],
    sleep: Callable[[float], None],
    pauses: Sequence[float] = PAUSES,
) -> FetchResult[T]:
    """`fetch` the symbols and `store` each result at once; after each of `pauses` (seconds) retry the failures that are
    not final."""
    found: list[T] = []
    final: list[FetchFailure] = []
    retryable: list[FetchFailure] = []
    answers = Counter[str]()
    remaining = list(symbols)
    for pause in (0.0, *pauses):
        if not remaining:
            break
        if pause:
            sleep(pause)
        retryable = []
        for answer in fetch(remaining):
            if isinstance(answer, FetchFailure):
                answers[answer.kind] += 1
                (final if answer.is_final else retryable).append(answer)
            else:
                answers["ok"] += 1
                store(answer)
                found.append(answer)
        remaining = [failure.symbol for failure in retryable]
    return FetchResult(found, final + retryable, answers)
