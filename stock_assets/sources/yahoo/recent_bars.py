"""Keeps the newest bars and the splits of each symbol, to find new and corrected bars, and to undo Yahoo's adjustment
of prices for splits."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from stock_assets.market.adjustment import ActionKind, CorporateAction, as_declared, as_traded, was_split_since
from stock_assets.market.bars import Bar
from stock_assets.market.calendars import date_at
from stock_assets.market.symbols import exchange_of
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.fetch_planner import BarRequest, is_final
from stock_assets.sources.yahoo.charts import Chart

_BARS_A_SYMBOL = 64


class RecentBars:
    """Kept in memory; bars that are no longer kept are published again, which overwrites the same points."""

    def __init__(self) -> None:
        self._bars: dict[str, dict[datetime, Bar]] = {}
        self._splits: dict[str, dict[date, CorporateAction]] = {}

    def add_splits(self, actions: Iterable[CorporateAction]) -> None:
        """Keep the splits among the actions."""
        for action in actions:
            if action.kind is ActionKind.SPLIT:
                self._splits.setdefault(action.symbol, {})[action.ex_date] = action

    def actions_as_declared(self, actions: Sequence[CorporateAction], now: datetime) -> list[CorporateAction]:
        """Return the actions of an answer as they were declared; their splits are kept."""
        declared = [as_declared(action, self._splits_until(action.symbol, now, actions)) for action in actions]
        self.add_splits(actions)
        return declared

    def read(
        self, request: BarRequest, before: Coverage | None, chart: Chart, delay: timedelta, now: datetime
    ) -> tuple[list[Bar], list[CorporateAction]]:
        """The final bars of an answer that are new or changed since the answer before, as traded, and its actions as
        declared. If it raises, nothing is kept."""
        splits = self._splits_until(request.symbol, now, chart.actions)
        bars = as_traded(chart.bars, splits)
        exchange = exchange_of(request.symbol)
        while bars and not is_final(exchange, request.interval, delay, bars[-1].start, now, extended=request.extended):
            bars.pop()
        previous = self._bars.get(request.symbol, {})
        new = [bar for bar in bars if previous.get(bar.start) != bar]
        if before is not None:
            # A covered bar from before a split is not taken for corrected: its price may differ by rounding, and on the
            # morning of the split it is unknown whether Yahoo has adjusted its prices already.
            new = [bar for bar in new if bar.start > before.covered_until or not was_split_since(bar, splits)]
        declared = self.actions_as_declared(chart.actions, now)
        self._bars[request.symbol] = {bar.start: bar for bar in bars[-_BARS_A_SYMBOL:]}
        return new, declared

    def _splits_until(self, symbol: str, now: datetime, actions: Sequence[CorporateAction]) -> list[CorporateAction]:
        """The splits for which Yahoo's prices are adjusted at `now`: those that are kept, and those among `actions`."""
        today = date_at(exchange_of(symbol), now)
        newer = {action.ex_date: action for action in actions if action.kind is ActionKind.SPLIT}
        return [split for day, split in (self._splits.get(symbol, {}) | newer).items() if day <= today]
