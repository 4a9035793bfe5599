"""The checks of the prices: for a person who runs them, and for the sensor that records them each minute."""

from datetime import datetime

from stock_assets.evaluations.evaluation import Cell, CheckSeverity, Evaluation, format_time
from stock_assets.evaluations.freshness import bar_exchange, evaluation_clock, freshness_rows
from stock_assets.market.calendars import is_open
from stock_assets.market.plausibility import FROZEN_BARS, LARGEST_CHANGE, Jump, Standstill, jumps, standstills
from stock_assets.pipeline.freshness import Freshness
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage

_WARN = CheckSeverity.WARN
_CHANGE_LIMIT = f"{LARGEST_CHANGE * 100:.0f} %"
_PLAUSIBLE_BARS = 5_000  # of each symbol: twenty years of days, or a month of 2-minute bars


def evaluate_price_freshness(
    settings: CodeLocationSettings, influxdb: InfluxDBResource, postgres: PostgresResource, now: datetime
) -> Evaluation:
    """Evaluate whether the newest bar that should be stored by now is."""
    coverage = make_source(settings).watched_rows(read_coverage(postgres.engine), now)
    clock = evaluation_clock(settings, coverage, now)
    rows = freshness_rows(settings, coverage, influxdb.newest(), now)
    late = [row for row in rows if not row.passed]
    if not rows:
        summary = "no bar has been published yet, so none is expected"
    elif late:
        summary = f"{len(late)} of {len(rows)} are late: " + ", ".join(row.symbol for row in late[:10])
    else:
        summary = f"the newest bar of all {len(rows)} symbols is there"
    worst = max((row.late_by.total_seconds() for row in rows), default=0)
    table = [_freshness_row(settings, row, clock) for row in rows]
    return Evaluation(
        "prices_are_fresh", not late, summary, table, {"late_symbols": len(late), "latest_by_seconds": worst}
    )


def _freshness_row(settings: CodeLocationSettings, row: Freshness, clock: datetime) -> dict[str, Cell]:
    return {
        "symbol": row.symbol,
        "interval": row.interval,
        "newest": format_time(row.newest),
        "expected": format_time(row.expected),
        "late_by": str(row.late_by) if row.late_by else "",
        "verdict": row.status.value,
        "market": "open" if is_open(bar_exchange(settings, row.symbol), clock) else "closed",
    }


def evaluate_plausibility(influxdb: InfluxDBResource) -> Evaluation:
    """Evaluate whether a price jumped or stood still so long that a person should check it; both may be real."""
    series = influxdb.closes(_PLAUSIBLE_BARS)
    jumped = [jump for (s, i), closes in series.items() for jump in jumps(s, i, closes)]
    frozen = [stop for (s, i), closes in series.items() for stop in standstills(s, i, closes)]
    findings = [f"{len(jumped)} jumps of more than {_CHANGE_LIMIT} from close to close"] if jumped else []
    findings += [f"{len(frozen)} prices that stood still for {FROZEN_BARS} bars or more"] if frozen else []
    nothing = f"no jump of more than {_CHANGE_LIMIT}, and no price that stands still" if series else "no bar is stored"
    summary = ", ".join(findings) or nothing
    table = [_jump_row(jump) for jump in jumped] + [_standstill_row(stop) for stop in frozen]
    figures = {"jumps": len(jumped), "standstills": len(frozen)}
    return Evaluation("prices_are_plausible", not findings, summary, table, figures, _WARN)


def _standstill_row(stop: Standstill) -> dict[str, Cell]:
    return {
        "symbol": stop.symbol,
        "interval": stop.interval,
        "bar": format_time(stop.begin),
        "close_before": stop.close,
        "close": stop.close,
        "change_percent": 0.0,
        "bars": stop.bars,
    }


def _jump_row(jump: Jump) -> dict[str, Cell]:
    return {
        "symbol": jump.symbol,
        "interval": jump.interval,
        "bar": format_time(jump.start),
        "close_before": jump.before,
        "close": jump.after,
        "change_percent": round(jump.change * 100, 1),
        "bars": 1,
    }
