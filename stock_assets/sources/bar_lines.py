"""What is wrong with the lines of a file of bars: each is held to what the contract says a bar is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from spark_streaming.contract.schema import PRICE_FIELDS, VOLUME_FIELD
from spark_streaming.contract.validity import AHEAD_SECONDS, MAX_VOLUME, PRICE_TOLERANCE, reason
from stock_assets.market.bars import Bar
from stock_assets.market.calendars import exchange_of, session_on

NUMBERS = (*PRICE_FIELDS, VOLUME_FIELD)
_NO_TIME = "is no time; write 2026-11-20T14:30:00Z"
_DAY_ONLY = r"\d{4}-\d{2}-\d{2}"
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that is no bar, and the first thing that is wrong with it."""

    line: int
    column: str
    value: str
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.column} {self.value!r} {self.why}"


class Lines:
    """A piece of a file, as text or as what Parquet had, under judgement. Its index is the line of the file.

    `bars` becomes symbol, interval, start (UTC), open, high, low, close (float64) and volume (float64); `refusals` says
    which lines are not to be used.
    """

    def __init__(self, piece: pd.DataFrame, names: dict[str, str], symbol: str | None, interval: str | None) -> None:
        """`names` maps ours to the file's; `symbol` and `interval` stand in where the file has no such column."""
        self.refusals: dict[int, Refusal] = {}
        self._piece, self._names = piece, names
        self.bars = pd.DataFrame(index=piece.index)
        self.bars["symbol"] = piece[names["symbol"]].astype(str) if "symbol" in names else symbol
        self.bars["interval"] = piece[names["interval"]].astype(str) if "interval" in names else interval

    def good(self) -> pd.DataFrame:
        """The bars of the lines that were not refused."""
        return self.bars.drop(index=list(self.refusals)).astype({VOLUME_FIELD: "int64"})

    def refuse(self, wrong: "pd.Series[bool]", name: str, why: str) -> None:
        """Remember the lines where `wrong` holds; what was wrong with a line before counts more."""
        column = self._names.get(name, name)
        for line in wrong.index[wrong]:
            value = self._piece.at[line, column] if column in self._piece else self.bars.at[line, name]
            self.refusals.setdefault(line, Refusal(line, column, str(value), why))

    def judge_numbers(self) -> None:
        """Prices above zero, a high and a low that are, a volume that is whole."""
        bars = self.bars
        for name in NUMBERS:
            bars[name] = pd.to_numeric(self._piece[self._names[name]], errors="coerce").astype("float64")
            self.refuse(~bars[name].abs().lt(float("inf")), name, "is no finite number")
        for name in PRICE_FIELDS:
            self.refuse(bars[name] <= 0, name, "is no price: prices are above zero")
        top, bottom = bars[["open", "close", "low"]].max(axis=1), bars[["open", "close", "high"]].min(axis=1)
        self.refuse(bars["high"] < top * (1 - PRICE_TOLERANCE), "high", "is a high below its open, close or low")
        self.refuse(bars["low"] > bottom * (1 + PRICE_TOLERANCE), "low", "is a low above its open, close or high")
        volume = bars[VOLUME_FIELD]
        self.refuse((volume < 0) | (volume % 1 != 0), VOLUME_FIELD, "is no volume: whole and not below zero")
        self.refuse(volume > MAX_VOLUME, VOLUME_FIELD, f"is no volume: at most {MAX_VOLUME}")

    def judge_times(self, timezone: str | None, now: datetime) -> None:
        """Starts in UTC. A date alone is a daily bar's: it starts when its exchange opened."""
        texts = self._piece[self._names["timestamp"]]
        if texts.dtype == object and texts.astype(str).str.fullmatch(_DAY_ONLY).all():
            self.bars["start"] = self._session_opens(texts)
        else:
            self.bars["start"] = self._moments(texts, timezone)
        self.refuse(self.bars["start"] < pd.Timestamp(0, tz="UTC"), "timestamp", "is before 1970")
        latest = now + timedelta(seconds=AHEAD_SECONDS)
        self.refuse(self.bars["start"] > latest, "timestamp", "is more than a day ahead of the clock")

    def judge_names(self, now: datetime) -> None:
        """Symbols and intervals, once each, by the very rule that the stream has."""
        fine = Bar("", "1d", now, 1.0, 1.0, 1.0, 1.0, 0)
        for name, values in (("symbol", self.bars["symbol"]), ("interval", self.bars["interval"])):
            for value in values.unique():
                symbol, interval = (value, fine.interval) if name == "symbol" else ("X", value)
                bar = Bar(symbol, interval, now, fine.open, fine.high, fine.low, fine.close, fine.volume)
                found = reason(bar.key, bar.value, now)
                if found is not None:
                    self.refuse(values == value, name, f"can't be used. {found.meaning}")

    def judge_order(self, newest: dict[tuple[str, str], pd.Timestamp]) -> None:
        """Each bar of a symbol and interval comes after the one before; `newest` goes on from piece to piece."""
        good = self.bars.drop(index=list(self.refusals))
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
        """Say of a line that stands there twice that it does, and whether the two agree."""
        for line in group.index[group.duplicated("start")]:
            first = group.index[group["start"] == group.at[line, "start"]][0]
            same = bool((group.loc[line, list(NUMBERS)] == group.loc[first, list(NUMBERS)]).all())
            how = "again" if same else "again, with other values"
            refusal = self.refusals[line]
            why = f"is that of line {first} {how}; keep one of them"
            self.refusals[line] = Refusal(line, refusal.column, refusal.value, why)

    def _session_opens(self, texts: "pd.Series[str]") -> "pd.Series[pd.Timestamp]":
        opens: dict[tuple[str, str], pd.Timestamp | None] = {}
        for symbol, text in set(zip(self.bars["symbol"], texts, strict=True)):
            try:
                session = session_on(exchange_of(symbol), date.fromisoformat(text))
                opens[symbol, text] = pd.Timestamp(session.opened)
            except ValueError as error:  # no such date, no trading day, or no such exchange: the message says which
                opens[symbol, text] = None
                at = (self.bars["symbol"] == symbol) & (texts == text)
                self.refuse(at, "timestamp", f"is the time of no bar: {error}")
        starts = [opens[key] for key in zip(self.bars["symbol"], texts, strict=True)]
        return pd.Series(pd.DatetimeIndex(starts, tz="UTC"), index=texts.index)

    def _moments(self, texts: "pd.Series[Any]", timezone: str | None) -> "pd.Series[pd.Timestamp]":
        times: pd.Series[pd.Timestamp]
        if texts.dtype == object:
            named = texts.astype(str).str.contains(_OFFSET)
            times = pd.to_datetime(texts.where(named), errors="coerce", format="ISO8601", utc=True)
            naive = pd.to_datetime(texts.mask(named), errors="coerce", format="ISO8601")
            self.refuse((times.isna() & named) | (naive.isna() & ~named), "timestamp", _NO_TIME)
        elif texts.dt.tz is not None:
            times = texts.dt.tz_convert("UTC")
            self.refuse(times.isna(), "timestamp", _NO_TIME)
            return times
        else:
            named, naive = pd.Series(data=False, index=texts.index), texts
            times = naive.dt.tz_localize("UTC")
            self.refuse(naive.isna(), "timestamp", _NO_TIME)
        if named.all():
            return times
        if timezone is None:
            self.refuse(~named, "timestamp", "names no time zone; give --timezone, as America/New_York")
            return times
        local = naive.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
        why = f"is ambiguous in {timezone}: the clock changed; write it with its offset"
        self.refuse(local.isna() & ~named, "timestamp", why)
        return times.where(named, local.dt.tz_convert("UTC"))
