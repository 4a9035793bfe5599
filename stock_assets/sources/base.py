"""What a source has to offer, of bars and of quotes; a file a source beside this one."""

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
    """Bars to publish, the coverage once they are published, and what was left out, a sentence each.

    Also splits and dividends, bars that the source no longer has, and the number of answers of each kind.
    """

    bars: Sequence[Bar]
    coverage: Sequence[Coverage]
    left_out: Sequence[str] = ()
    actions: Sequence[CorporateAction] = ()
    gaps: Sequence[PermanentGap] = ()
    answers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why a fetch for a symbol failed; `kind` is what it is counted as, and a final failure is not retried."""

    symbol: str
    kind: str
    why: str
    is_final: bool = False


class SourceError(Exception):
    """A source can't give what was asked of it; the message names the thing, the value and the remedy."""


def require_exchanges(symbols: Iterable[str]) -> None:
    """Raise SourceError where a symbol has no known exchange: nothing could be said about its bars."""
    for symbol in symbols:
        try:
            exchange_of(symbol)
        except ValueError as error:
            raise SourceError(f"{error} (STOCKS, or `stocks watchlist remove {symbol}`)") from None


class BarSource(Protocol):
    """Gives the bars that are not covered yet, and facts about the companies."""

    @property
    def origin(self) -> str:
        """What the bars come from; coverage of another origin doesn't count."""

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols that it will give bars of.

        Raises:
            SourceError: it can't be read.
        """

    def check(self) -> int:
        """Look whether it can give what it is asked for; returns how much of it will be left out.

        Raises:
            SourceError: it can't.
        """

    def watched_rows(self, coverage: Sequence[Coverage], now: datetime) -> list[Coverage]:
        """The rows of what it gives bars of: not those of symbols removed since, and one for each that has none yet."""

    def is_due(self, coverage: Sequence[Coverage], now: datetime) -> bool:
        """Whether it has, or will soon have, bars that are not covered."""

    def batches(self, coverage: Sequence[Coverage], stop: Event) -> Iterator[SourceBatch]:
        """Yield what is not covered, each symbol in the order of time, until there is no more or `stop` is set.

        Raises:
            SourceError: a bar can't be had; nothing of what comes before it is in doubt.
        """

    def bars_between(self, symbol: str, interval: str, begin: datetime, end: datetime) -> Sequence[Bar]:
        """What it has of a series from `begin` to before `end`, asked for once more, whatever is covered.

        Raises:
            SourceError: it can't say; an empty answer says that it has none.
        """

    def companies(self, symbols: Sequence[str], now: datetime) -> Iterator[CompanyInfo | FetchFailure]:
        """Yield the facts about each symbol, as of its exchange's date at `now`, or why they could not be had."""

    def actions(self, symbols: Sequence[str], now: datetime) -> Iterator[Sequence[CorporateAction] | FetchFailure]:
        """Yield each symbol's newest splits and dividends, or why they could not be had."""


@dataclass
class QuoteStatus:
    """What a source of quotes says of itself, for the heartbeat and Dagster's metadata."""

    how: str = "not begun"  # they come, or why they don't
    count: Counter[str] = field(default_factory=Counter)  # what went wrong, by its kind


class QuoteSource(Protocol):
    """Gives quotes as they happen; one that was missed is gone."""

    @property
    def status(self) -> QuoteStatus:
        """How it goes; read from other threads."""

    def batches(self, stop: Event) -> Iterator[Sequence[Quote]]:
        """Yield quotes until `stop` is set, each symbol's in the order in which they came."""
