"""Splits and dividends: prices as traded, and prices adjusted to today's shares. Pure."""

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
    """A split or a dividend of a share.

    `ex_date` is the first date, at the exchange, on which the share trades without it. `value` is the number of new
    shares for one old share, or the dividend for one share, as declared, in `currency`. `close_before` is the last
    close before `ex_date`, as traded; None if it is unknown.
    """

    symbol: str
    ex_date: date
    kind: ActionKind
    value: Decimal
    currency: str | None = None
    close_before: Decimal | None = None


def splits_after(day: date, actions: Iterable[CorporateAction]) -> Decimal:
    """Return the number of today's shares for one share of `day`: 1 where there was no split since."""
    ratio = Decimal(1)
    for action in actions:
        if action.kind is ActionKind.SPLIT and action.ex_date > day:
            ratio *= action.value
    return ratio


def was_split_since(bar: Bar, splits: Sequence[CorporateAction]) -> bool:
    """Return whether the share was split after the bar's day."""
    return bool(splits) and splits_after(_day(bar), splits) != 1


def as_traded(bars: Iterable[Bar], splits: Sequence[CorporateAction]) -> list[Bar]:
    """Return the bars with the source's adjustment for later splits undone.

    `splits` are the splits of the bars' symbol that the source has adjusted for; future splits must not be among them.
    """
    if not splits:  # the usual case: it saves finding each bar's day
        return list(bars)
    return [_scaled(bar, 1 / ratio) if (ratio := splits_after(_day(bar), splits)) != 1 else bar for bar in bars]


def as_declared(action: CorporateAction, splits: Sequence[CorporateAction]) -> CorporateAction:
    """Return a dividend and the close before it, with the source's adjustment for later splits undone."""
    ratio = splits_after(action.ex_date, splits)
    before = None
    if action.close_before is not None:  # from the day before, so a split on `ex_date` counts too
        before = action.close_before * splits_after(action.ex_date - date.resolution, splits)
    value = action.value * ratio if action.kind is ActionKind.DIVIDEND else action.value
    return replace(action, value=value, close_before=before)


def adjustment_factor(day: date, actions: Iterable[CorporateAction]) -> Decimal:
    """Return the number by which a price of `day` is multiplied to be comparable with today's prices.

    A split divides the price, a dividend lowers it by the dividend's part of the close before. These are CRSP's rules,
    which Yahoo uses for its adjusted close. A dividend whose close before is unknown is ignored.
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
    """Return bars as traded, adjusted for splits and dividends; volumes are adjusted for splits only.

    All bars and `actions` are of one symbol.
    """
    series = []
    for bar in bars:
        day = _day(bar)
        in_todays_shares = _scaled(bar, splits_after(day, actions))
        by = float(adjustment_factor(day, actions))
        series.append(
            replace(in_todays_shares, open=bar.open * by, high=bar.high * by, low=bar.low * by, close=bar.close * by)
        )
    return series


def _day(bar: Bar) -> date:
    return date_at(exchange_of(bar.symbol), bar.start)


def _scaled(bar: Bar, shares: Decimal) -> Bar:
    """The bar in smaller shares: one of its own shares is `shares` of them."""
    by = float(1 / shares)
    return replace(
        bar,
        open=bar.open * by,
        high=bar.high * by,
        low=bar.low * by,
        close=bar.close * by,
        volume=round(bar.volume * float(shares)),
    )
