"""What Yahoo gave lately: it tells which bars are new or corrected, and undoes what Yahoo does to them for splits."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from stock_assets.market.adjustment import ActionKind, CorporateAction, as_declared, as_traded, was_split_since
from stock_assets.market.bars import Bar
from stock_assets.market.calendars import date_at
from stock_assets.market.symbols import exchange_of
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.fetch_planner import BarRequest, is_final
from stock_assets.sources.yahoo.charts import Chart

_REMEMBERED = 64  # bars of a symbol


class RecentBars:
    """Of one process; what it forgets is published again, which changes nothing."""

    def __init__(self) -> None:
        self._given: dict[str, dict[datetime, Bar]] = {}
        self._splits: dict[str, dict[date, CorporateAction]] = {}

    def learn(self, actions: Iterable[CorporateAction]) -> None:
        """Remember the splits among them."""
        for action in actions:
            if action.kind is ActionKind.SPLIT:
                self._splits.setdefault(action.symbol, {})[action.ex_date] = action

    def splits_of(self, symbol: str, now: datetime) -> list[CorporateAction]:
        """Those that Yahoo's prices have been adjusted for by now."""
        today = date_at(exchange_of(symbol), now)
        return [split for split in self._splits.get(symbol, {}).values() if split.ex_date <= today]

    def declared(self, actions: Sequence[CorporateAction], now: datetime) -> list[CorporateAction]:
        """The actions of an answer as they were declared."""
        self.learn(actions)
        return [as_declared(action, self.splits_of(action.symbol, now)) for action in actions]

    def fresh(
        self, request: BarRequest, before: Coverage | None, chart: Chart, delay: timedelta, now: datetime
    ) -> list[Bar]:
        """The bars of an answer that are over and have not been given like this, as they were traded."""
        splits = self.splits_of(request.symbol, now)
        bars = as_traded(chart.bars, splits)
        exchange = exchange_of(request.symbol)
        while bars and not is_final(exchange, request.interval, delay, bars[-1].start, now, extended=request.extended):
            bars.pop()
        given = self._given.get(request.symbol, {})
        self._given[request.symbol] = {bar.start: bar for bar in bars[-_REMEMBERED:]}
        new = [bar for bar in bars if given.get(bar.start) != bar]
        if before is None:
            return new
        # Over a split nothing is corrected: a rounding would pass for a correction, and on the morning itself nobody
        # knows whether Yahoo has adjusted its prices already.
        return [bar for bar in new if bar.start > before.covered_until or not was_split_since(bar, splits)]
