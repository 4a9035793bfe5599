"""Splits and dividends: prices as they were traded, and as they can be compared with today's. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from stock_assets.market.bars import Bar
from stock_assets.market.calendars import date_at
from stock_assets.market.symbols import exchange_of


class ActionKind(StrEnum):
    """What a corporate action does to a share."""

    SPLIT = "split"
    DIVIDEND = "dividend"


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """What changes the price of a share without a trade.

    `ex_date` is the first day, at the exchange, that trades without it. `value` is the number of new shares for one old
    one, or the money that is paid for a share, as it was declared, in `currency`. `close_before` is the price, as
    traded, at the close before: None while it is not known.
    """

    symbol: str
    ex_date: date
    kind: ActionKind
    value: Decimal
    currency: str | None = None
    close_before: Decimal | None = None


def splits_after(day: date, actions: Iterable[CorporateAction]) -> Decimal:
    """The shares of today for one share of `day`: 1 where it was never split since."""
    ratio = Decimal(1)
    for action in actions:
        if action.kind is ActionKind.SPLIT and action.ex_date > day:
            ratio *= action.value
    return ratio


def was_split_since(bar: Bar, splits: Sequence[CorporateAction]) -> bool:
    """Whether a share of the bar's day is not one of today."""
    return bool(splits) and splits_after(_day(bar), splits) != 1


def as_traded(bars: Iterable[Bar], splits: Sequence[CorporateAction]) -> list[Bar]:
    """The bars without what a source has done to them for later splits.

    `splits` are the source's own, of the bars' symbol; those that are yet to come must not be among them.
    """
    if not splits:  # as almost always; days take time to find
        return list(bars)
    return [_scaled(bar, 1 / ratio) if (ratio := splits_after(_day(bar), splits)) != 1 else bar for bar in bars]


def as_declared(action: CorporateAction, splits: Sequence[CorporateAction]) -> CorporateAction:
    """A dividend, and the close before it, without what a source has done to them for later splits."""
    ratio = splits_after(action.ex_date, splits)
    before = None
    if action.close_before is not None:  # of a day earlier, so that a split of this very day counts too
        before = action.close_before * splits_after(action.ex_date - date.resolution, splits)
    value = action.value * ratio if action.kind is ActionKind.DIVIDEND else action.value
    return replace(action, value=value, close_before=before)


def factor(day: date, actions: Iterable[CorporateAction]) -> Decimal:
    """What makes a price of `day` comparable with one of today: a split divides it, a dividend takes its share off.

    The rule is CRSP's, as Yahoo explains its adjusted close. A dividend whose close before is unknown counts nothing.
    """
    product = Decimal(1)
    for action in actions:
        if action.ex_date <= day:
            continue
        if action.kind is ActionKind.SPLIT:
            product /= action.value
        elif action.close_before is not None and action.value < action.close_before:
            product *= 1 - action.value / action.close_before
    return product


def adjusted(bars: Iterable[Bar], actions: Sequence[CorporateAction]) -> list[Bar]:
    """A comparable series from bars as traded; all are of one symbol, as `actions` are. Volumes follow splits alone."""
    series = []
    for bar in bars:
        day = _day(bar)
        whole = _scaled(bar, splits_after(day, actions))
        by = float(factor(day, actions))
        series.append(replace(whole, open=bar.open * by, high=bar.high * by, low=bar.low * by, close=bar.close * by))
    return series


def _day(bar: Bar) -> date:
    return date_at(exchange_of(bar.symbol), bar.start)


def _scaled(bar: Bar, shares: Decimal) -> Bar:
    """The bar in units of shares of which `shares` make one of its own."""
    by = float(1 / shares)
    return replace(
        bar,
        open=bar.open * by,
        high=bar.high * by,
        low=bar.low * by,
        close=bar.close * by,
        volume=round(bar.volume * float(shares)),
    )
