"""Checks the lines of a file of bars against the contract's rules for a valid bar."""

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
_NOT_A_TIME = "is not a time; write 2026-11-20T14:30:00Z"
_DAY = r"\d{4}-\d{2}-\d{2}(?:[T ]00:00(?::00(?:\.0+)?)?)?"  # a date alone, or its midnight without a time zone
_DAILY_OR_LONGER = r"(?:d|wk|mo)$"
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line that is not a valid bar, and its first problem."""

    line: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.column} {self.value!r} {self.reason}"


class LineChecks:
    """Checks one chunk of a file. Its cells are text (CSV) or values (Parquet); its index is the line of the file.

    The checks fill `bars`: symbol, interval, start (UTC), open, high, low, close and volume (float64). `invalid` maps a
    line to its problem.
    """

    def __init__(
        self,
        cells: pd.DataFrame,
        names: dict[str, str],
        symbol: str | None,
        interval: str | None,
        uneven: Mapping[int, InvalidLine],
    ) -> None:
        """`names` maps a bar's field to the file's column; `symbol` and `interval` are used where the file has no such
        column; `uneven` are the lines that are known to be invalid."""
        self.invalid: dict[int, InvalidLine] = dict(uneven)
        self._cells, self._names = cells, names
        self.bars = pd.DataFrame(index=cells.index)
        self.bars["symbol"] = cells[names["symbol"]].astype(str) if "symbol" in names else symbol
        self.bars["interval"] = cells[names["interval"]].astype(str) if "interval" in names else interval

    def valid_bars(self) -> pd.DataFrame:
        """Return the bars of the valid lines."""
        return self.bars.drop(index=list(self.invalid)).astype({VOLUME_FIELD: "int64"})

    def mark_invalid(self, is_invalid: "pd.Series[bool]", name: str, reason: str) -> None:
        """Mark the lines where `is_invalid` is true; the first problem of a line is kept."""
        column = self._names.get(name, name)
        for line in is_invalid.index[is_invalid]:
            value = self._cells.at[line, column] if column in self._cells else self.bars.at[line, name]
            self.invalid.setdefault(line, InvalidLine(line, column, str(value), reason))

    def check_numbers(self) -> None:
        """Check that prices are above zero, that high and low enclose the other prices, and that the volume is a whole
        number."""
        bars = self.bars
        for name in NUMBERS:
            bars[name] = pd.to_numeric(self._cells[self._names[name]], errors="coerce").astype("float64")
            self.mark_invalid(~bars[name].abs().lt(float("inf")), name, "is not a finite number")
        for name in PRICE_FIELDS:
            self.mark_invalid(bars[name] <= 0, name, "is not a price: prices are above zero")
        top, bottom = bars[["open", "close", "low"]].max(axis=1), bars[["open", "close", "high"]].min(axis=1)
        self.mark_invalid(bars["high"] < top * (1 - PRICE_TOLERANCE), "high", "is below the open, the close or the low")
        self.mark_invalid(
            bars["low"] > bottom * (1 + PRICE_TOLERANCE), "low", "is above the open, the close or the high"
        )
        volume = bars[VOLUME_FIELD]
        self.mark_invalid(
            (volume < 0) | (volume % 1 != 0), VOLUME_FIELD, "is not a volume: a whole number, not below zero"
        )
        self.mark_invalid(volume > MAX_VOLUME, VOLUME_FIELD, f"is not a volume: at most {MAX_VOLUME}")

    def check_times(self, timezone: str | None, now: datetime) -> None:
        """Compute and check the starts in UTC. Where a daily or longer bar has a date only, it starts at its session's
        open."""
        texts = self._cells[self._names["timestamp"]]
        self.mark_invalid(texts.isna(), "timestamp", _NOT_A_TIME)
        is_day = texts.astype(str).str.fullmatch(_DAY) & self.bars["interval"].astype(str).str.contains(
            _DAILY_OR_LONGER
        )
        starts = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[ns, UTC]")
        if not is_day.all():
            starts = starts.where(is_day, self._moments(texts[~is_day], timezone))
        if is_day.any():
            starts = starts.where(~is_day, self._session_opens(texts[is_day].astype(str).str[:10]))
        self.bars["start"] = starts
        self.mark_invalid(starts.dt.floor("s") < starts, "timestamp", "is not a whole second")
        self.mark_invalid(starts < pd.Timestamp(0, tz="UTC"), "timestamp", "is before 1970")
        latest = now + timedelta(seconds=AHEAD_SECONDS)
        self.mark_invalid(starts > latest, "timestamp", "is more than a day ahead of the clock")

    def check_names(self, now: datetime) -> None:
        """Check each distinct symbol and interval by the contract's rules; the exchange of a symbol must be known."""
        for name in ("symbol", "interval"):
            if name in self._names:
                self.mark_invalid(self._cells[self._names[name]].isna(), name, "is missing")
            values = self.bars[name]
            for value in values.unique():
                symbol, interval = (value, "1d") if name == "symbol" else ("X", value)
                bar = Bar(symbol, interval, now, 1.0, 1.0, 1.0, 1.0, 0)
                found = rejection_reason(bar.key, bar.value, now)
                if found is not None:
                    self.mark_invalid(values == value, name, f"can't be used. {found.meaning}")
                elif name == "symbol":
                    try:
                        exchange_of(value)
                    except ValueError as error:
                        self.mark_invalid(values == value, name, f"can't be used: {error}")

    def check_order(self, newest: dict[tuple[str, str], pd.Timestamp]) -> None:
        """Check that the bars of each symbol and interval are sorted by time, without duplicates. `newest` holds the
        newest start of each and is passed from chunk to chunk."""
        valid = self.bars.drop(index=list(self.invalid))
        for (symbol, interval), group in valid.groupby(["symbol", "interval"], sort=False):
            key = (str(symbol), str(interval))
            starts = group["start"]
            before = starts.cummax().shift(1)
            if key in newest:
                before = before.where(before > newest[key], newest[key])
            self.mark_invalid_times(starts.index[starts <= before], "comes after a newer bar; sort the file by time")
            self._name_duplicates(group)
            newest[key] = max(starts.max(), newest.get(key, starts.max()))

    def mark_invalid_times(self, lines: Iterable[int], reason: str) -> None:
        """Mark lines whose time is invalid."""
        self.mark_invalid(self.bars.index.to_series().isin(list(lines)), "timestamp", reason)

    def _name_duplicates(self, group: pd.DataFrame) -> None:
        """Describe duplicates by the line that has the same time, and by whether its values are the same."""
        first = dict(reversed(list(zip(group["start"], group.index, strict=True))))
        for line in group.index[group.duplicated("start")]:
            other = first[group.at[line, "start"]]
            same = bool((group.loc[line, list(NUMBERS)] == group.loc[other, list(NUMBERS)]).all())
            reason = f"is a duplicate of line {other}{'' if same else ', with other values'}; keep one of them"
            self.invalid[line] = replace(self.invalid[line], reason=reason)

    def _session_opens(self, days: "pd.Series[str]") -> "pd.Series[Any]":
        pairs = list(zip(self.bars["symbol"][days.index], days, strict=True))
        opens: dict[tuple[str, str], pd.Timestamp] = {}
        problems: dict[tuple[str, str], str] = {}
        for symbol, day in set(pairs):
            try:
                session = session_on(exchange_of(symbol), date.fromisoformat(day))
                opens[symbol, day] = pd.Timestamp(session.opened)
            except (
                ValueError
            ) as error:  # the date, the trading day or the exchange doesn't exist: the message says which
                problems[symbol, day] = str(error)
        for line, pair in zip(days.index, pairs, strict=True):
            if pair in problems:
                column, text = self._names["timestamp"], pair[1]
                problem = InvalidLine(line, column, text, f"is not the time of a bar: {problems[pair]}")
                self.invalid.setdefault(line, problem)
        return pd.Series(pd.DatetimeIndex([opens.get(pair) for pair in pairs], tz="UTC"), index=days.index)

    def _moments(self, texts: "pd.Series[Any]", timezone: str | None) -> "pd.Series[Any]":
        times: pd.Series[Any]
        if isinstance(texts.dtype, pd.DatetimeTZDtype):
            times = texts.dt.tz_convert("UTC")
            return times
        if pd.api.types.is_datetime64_dtype(texts.dtype):
            has_offset, naive = pd.Series(data=False, index=texts.index), texts
            times = naive.dt.tz_localize("UTC")
        else:
            texts = texts.astype(str)
            has_offset = texts.str.contains(_OFFSET)
            times = pd.to_datetime(texts.where(has_offset), errors="coerce", format="ISO8601", utc=True)
            naive = pd.to_datetime(texts.mask(has_offset), errors="coerce", format="ISO8601")
            self._mark_invalid_times((times.isna() & has_offset) | (naive.isna() & ~has_offset), _NOT_A_TIME)
        if has_offset.all():
            return times
        if timezone is None:
            self._mark_invalid_times(~has_offset, "has no time zone; give --timezone, as America/New_York")
            return times
        local = naive.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
        reason = f"is ambiguous in {timezone}: the clock changed then; write it with its UTC offset"
        self._mark_invalid_times(local.isna() & ~has_offset, reason)
        return times.where(has_offset, local.dt.tz_convert("UTC"))

    def _mark_invalid_times(self, is_invalid: "pd.Series[bool]", reason: str) -> None:
        """Mark lines whose time is invalid; `is_invalid` may cover a part of the chunk."""
        self.mark_invalid(is_invalid.reindex(self.bars.index, fill_value=False), "timestamp", reason)
