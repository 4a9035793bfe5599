"""The protocols of a source of bars and of a source of quotes, and what they yield."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Protocol

from stock_assets.market.adjustment import CorporateAction
from stock_assets.market.bars import Bar
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.quotes import Quote
from stock_assets.market.symbols import exchange_of
from stock_assets.pipeline.coverage import Coverage, PermanentGap


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Bars to publish, and the coverage to write once they are published.

    `left_out` describes what was left out, one text each; `actions` are splits and dividends, `gaps` are bars that the
    source no longer has, `answers` is the number of answers of each kind.
    """

    bars: Sequence[Bar]
    coverage: Sequence[Coverage]
    left_out: Sequence[str] = ()
    actions: Sequence[CorporateAction] = ()
    gaps: Sequence[PermanentGap] = ()
    answers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why a fetch for a symbol failed. Failures are counted by `kind`; a final one is not retried."""

    symbol: str
    kind: str
    reason: str
    is_final: bool = False


class SourceError(Exception):
    """A source can't be used, or has no answer; the message names the problem, the value and the remedy."""


def require_exchanges(symbols: Iterable[str]) -> None:
    """Raise SourceError where the exchange of a symbol is not known: its bars could not be evaluated."""
    for symbol in symbols:
        try:
            exchange_of(symbol)
        except ValueError as error:
            raise SourceError(f"{error} (STOCKS, or `stocks watchlist remove {symbol}`)") from None


class BarSource(Protocol):
    """Gives the bars that are not covered yet, and facts about companies."""

    @property
    def origin(self) -> str:
        """Where the bars come from; coverage of another origin is ignored."""

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols whose bars it gives.

        Raises:
            SourceError: the source can't be read.
        """

    def check(self) -> int:
        """Check that the source can be used; returns how many lines will be left out.

        Raises:
            SourceError: it can't be used.
        """

    def watched_rows(self, coverage: Sequence[Coverage], now: datetime) -> list[Coverage]:
        """Return the coverage of each of its symbols, with a new row where there is none; other rows are dropped."""

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Return whether it has, or will soon have, bars that are not covered."""

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[SourceBatch]:
        """Yield the bars that are not covered, each symbol's sorted by time, until there are no more or `stop` is set.

        Raises:
            SourceError: a bar is not available; the batches before it are valid.
        """

    def bars_between(self, symbol: str, interval: str, begin: datetime, end: datetime) -> Sequence[Bar]:
        """Return the bars of a series from `begin` to before `end`, fetched again, also those that are covered.

        Raises:
            SourceError: the fetch failed; an empty result means that there are no bars.
        """

    def companies(self, symbols: Sequence[str], now: datetime) -> Iterator[CompanyInfo | FetchFailure]:
        """Yield the facts about each symbol, as of its exchange's date at `now`, or why the fetch failed."""

    def actions(self, symbols: Sequence[str], now: datetime) -> Iterator[Sequence[CorporateAction] | FetchFailure]:
        """Yield each symbol's newest splits and dividends, or why the fetch failed."""


@dataclass
class QuoteStatus:
    """The state of a source of quotes, for the heartbeat and Dagster's metadata."""

    detail: str = "not begun"  # how quotes come, or why they don't
    counts: Counter[str] = field(default_factory=Counter)  # of connections, polls and unusable messages, by kind


class QuoteSource(Protocol):
    """Gives quotes as they are published; a missed quote can't be fetched later."""

    @property
    def status(self) -> QuoteStatus:
        """Its state; read from other threads."""

    def batches(self, stop: Event) -> Iterator[Sequence[Quote]]:
        """Yield quotes until `stop` is set, each symbol's in the order in which they arrived."""
