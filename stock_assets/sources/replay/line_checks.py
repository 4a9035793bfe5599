"""Checks of the lines of a file of bars, by the contract's rules of a valid bar."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from spark_streaming.contract.schema import PRICE_FIELDS, VOLUME_FIELD
from spark_streaming.contract.validity import AHEAD_SECONDS, MAX_VOLUME, PRICE_TOLERANCE, rejection_reason
from stock_assets.market.bars import Bar
from stock_assets.market.calendars import session_on
from stock_assets.market.symbols import exchange_of

NUMBERS = (*PRICE_FIELDS, VOLUME_FIELD)
_NO_TIME = "is no time; write 2026-11-20T14:30:00Z"
_DAY = r"\d{4}-\d{2}-\d{2}(?:[T ]00:00(?::00(?:\.0+)?)?)?"  # a date alone, or its midnight in no time zone
_DAYS = r"(?:d|wk|mo)$"
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line that is not a valid bar, and the first thing that is wrong with it."""

    line: int
    column: str
    value: str
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.column} {self.value!r} {self.why}"


class LineChecks:
    """The checks of a chunk of a file, whose cells are text or Parquet's values. Its index is the line of the file.

    `bars` gets symbol, interval, start (UTC), open, high, low, close (float64) and volume (float64); `invalid` are the
    lines that are not to be used.
    """

    def __init__(
        self,
        cells: pd.DataFrame,
        names: dict[str, str],
        symbol: str | None,
        interval: str | None,
        uneven: Mapping[int, InvalidLine],
    ) -> None:
        """`names` maps ours to the file's; `symbol` and `interval` are taken where the file has no such column;
        `uneven` are lines that are invalid already."""
        self.invalid: dict[int, InvalidLine] = dict(uneven)
        self._cells, self._names = cells, names
        self.bars = pd.DataFrame(index=cells.index)
        self.bars["symbol"] = cells[names["symbol"]].astype(str) if "symbol" in names else symbol
        self.bars["interval"] = cells[names["interval"]].astype(str) if "interval" in names else interval

    def valid_bars(self) -> pd.DataFrame:
        """The bars of the valid lines."""
        return self.bars.drop(index=list(self.invalid)).astype({VOLUME_FIELD: "int64"})

    def refuse(self, wrong: "pd.Series[bool]", name: str, why: str) -> None:
        """Mark the lines where `wrong` holds as invalid; the first problem of a line is kept."""
        column = self._names.get(name, name)
        for line in wrong.index[wrong]:
            value = self._cells.at[line, column] if column in self._cells else self.bars.at[line, name]
            self.invalid.setdefault(line, InvalidLine(line, column, str(value), why))

    def check_numbers(self) -> None:
        """Prices above zero, a highest high and a lowest low, a whole volume."""
        bars = self.bars
        for name in NUMBERS:
            bars[name] = pd.to_numeric(self._cells[self._names[name]], errors="coerce").astype("float64")
            self.refuse(~bars[name].abs().lt(float("inf")), name, "is no finite number")
        for name in PRICE_FIELDS:
            self.refuse(bars[name] <= 0, name, "is no price: prices are above zero")
        top, bottom = bars[["open", "close", "low"]].max(axis=1), bars[["open", "close", "high"]].min(axis=1)
        self.refuse(bars["high"] < top * (1 - PRICE_TOLERANCE), "high", "is a high below its open, close or low")
        self.refuse(bars["low"] > bottom * (1 + PRICE_TOLERANCE), "low", "is a low above its open, close or high")
        volume = bars[VOLUME_FIELD]
        self.refuse((volume < 0) | (volume % 1 != 0), VOLUME_FIELD, "is no volume: whole and not below zero")
        self.refuse(volume > MAX_VOLUME, VOLUME_FIELD, f"is no volume: at most {MAX_VOLUME}")

    def check_times(self, timezone: str | None, now: datetime) -> None:
        """Starts in UTC. A day, of a daily bar or longer, starts when its exchange opened."""
        texts = self._cells[self._names["timestamp"]]
        self.refuse(texts.isna(), "timestamp", _NO_TIME)
        is_day = texts.astype(str).str.fullmatch(_DAY) & self.bars["interval"].astype(str).str.contains(_DAYS)
        starts = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[ns, UTC]")
        if not is_day.all():
            starts = starts.where(is_day, self._moments(texts[~is_day], timezone))
        if is_day.any():
            starts = starts.where(~is_day, self._session_opens(texts[is_day].astype(str).str[:10]))
        self.bars["start"] = starts
        self.refuse(starts.dt.floor("s") < starts, "timestamp", "is not a whole second")
        self.refuse(starts < pd.Timestamp(0, tz="UTC"), "timestamp", "is before 1970")
        latest = now + timedelta(seconds=AHEAD_SECONDS)
        self.refuse(starts > latest, "timestamp", "is more than a day ahead of the clock")

    def check_names(self, now: datetime) -> None:
        """Each different symbol and interval, by the stream's own rule; a symbol must have an exchange."""
        for name in ("symbol", "interval"):
            if name in self._names:
                self.refuse(self._cells[self._names[name]].isna(), name, "is missing")
            values = self.bars[name]
            for value in values.unique():
                symbol, interval = (value, "1d") if name == "symbol" else ("X", value)
                bar = Bar(symbol, interval, now, 1.0, 1.0, 1.0, 1.0, 0)
                found = rejection_reason(bar.key, bar.value, now)
                if found is not None:
                    self.refuse(values == value, name, f"can't be used. {found.meaning}")
                elif name == "symbol":
                    try:
                        exchange_of(value)
                    except ValueError as error:
                        self.refuse(values == value, name, f"can't be used: {error}")

    def check_order(self, newest: dict[tuple[str, str], pd.Timestamp]) -> None:
        """Each bar of a symbol and interval comes after the one before; `newest` is kept from chunk to chunk."""
        good = self.bars.drop(index=list(self.invalid))
        for (symbol, interval), group in good.groupby(["symbol", "interval"], sort=False):
            key = (str(symbol), str(interval))
            starts = group["start"]
            before = starts.cummax().shift(1)
            if key in newest:
                before = before.where(before > newest[key], newest[key])
            self.refuse_lines(starts.index[starts <= before], "comes after a newer bar; sort the file by time")
            self._name_duplicates(group)
            newest[key] = max(starts.max(), newest.get(key, starts.max()))

    def refuse_lines(self, lines: Iterable[int], why: str) -> None:
        """Refuse lines for their time."""
        self.refuse(self.bars.index.to_series().isin(list(lines)), "timestamp", why)

    def _name_duplicates(self, group: pd.DataFrame) -> None:
        """Name the line that has the same time, and say whether its values are the same."""
        first = dict(reversed(list(zip(group["start"], group.index, strict=True))))
        for line in group.index[group.duplicated("start")]:
            other = first[group.at[line, "start"]]
            same = bool((group.loc[line, list(NUMBERS)] == group.loc[other, list(NUMBERS)]).all())
            why = f"is that of line {other} again{'' if same else ', with other values'}; keep one of them"
            self.invalid[line] = replace(self.invalid[line], why=why)

    def _session_opens(self, days: "pd.Series[str]") -> "pd.Series[Any]":
        pairs = list(zip(self.bars["symbol"][days.index], days, strict=True))
        opens: dict[tuple[str, str], pd.Timestamp] = {}
        wrong: dict[tuple[str, str], str] = {}
        for symbol, day in set(pairs):
            try:
                session = session_on(exchange_of(symbol), date.fromisoformat(day))
                opens[symbol, day] = pd.Timestamp(session.opened)
            except ValueError as error:  # no such date, no trading day, or no such exchange: the message says which
                wrong[symbol, day] = str(error)
        for line, pair in zip(days.index, pairs, strict=True):
            if pair in wrong:
                column, text = self._names["timestamp"], pair[1]
                problem = InvalidLine(line, column, text, f"is the time of no bar: {wrong[pair]}")
                self.invalid.setdefault(line, problem)
        return pd.Series(pd.DatetimeIndex([opens.get(pair) for pair in pairs], tz="UTC"), index=days.index)

    def _moments(self, texts: "pd.Series[Any]", timezone: str | None) -> "pd.Series[Any]":
        times: pd.Series[Any]
        if isinstance(texts.dtype, pd.DatetimeTZDtype):
            times = texts.dt.tz_convert("UTC")
            return times
        if pd.api.types.is_datetime64_dtype(texts.dtype):
            named, naive = pd.Series(data=False, index=texts.index), texts
            times = naive.dt.tz_localize("UTC")
        else:
            texts = texts.astype(str)
            named = texts.str.contains(_OFFSET)
            times = pd.to_datetime(texts.where(named), errors="coerce", format="ISO8601", utc=True)
            naive = pd.to_datetime(texts.mask(named), errors="coerce", format="ISO8601")
            self._refuse_times((times.isna() & named) | (naive.isna() & ~named), _NO_TIME)
        if named.all():
            return times
        if timezone is None:
            self._refuse_times(~named, "names no time zone; give --timezone, as America/New_York")
            return times
        local = naive.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
        why = f"is ambiguous in {timezone}: the clock changed; write it with its offset"
        self._refuse_times(local.isna() & ~named, why)
        return times.where(named, local.dt.tz_convert("UTC"))

    def _refuse_times(self, wrong: "pd.Series[bool]", why: str) -> None:
        """Refuse lines for their time; `wrong` may cover a part of the chunk."""
        self.refuse(wrong.reindex(self.bars.index, fill_value=False), "timestamp", why)
