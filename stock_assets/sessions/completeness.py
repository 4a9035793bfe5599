"""The evaluation of the newest sessions: which bars each lacks, and whether they are still available."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from stock_assets.evaluations.evaluation import Cell, Evaluation
from stock_assets.market.sessions import Key, SeriesSession
from stock_assets.pipeline.completeness import Completeness, SessionRepair, combine, evaluate_session, missing_bars
from stock_assets.pipeline.kafka_records import fields_of
from stock_assets.pipeline.session_schedule import has_begun, is_settled
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.sessions import watched
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.session_repairs import read_repairs

_NAMED_GAPS = 5


def evaluate_sessions(
    settings: CodeLocationSettings,
    kafka: KafkaResource,
    influxdb: InfluxDBResource,
    postgres: PostgresResource,
    now: datetime,
) -> Evaluation:
    """Evaluate whether the newest session of each symbol has all its bars; a sensor requests the repairs."""
    coverage = {(row.symbol, row.interval): row for row in watched.watched_coverage(settings, postgres, now)}
    stored_all, oldest = watched.all_is_stored(settings, kafka), influxdb.oldest()
    newest = _newest(watched.settled(settings, list(coverage.values()), stored_all, oldest, now))
    repairs = read_repairs(postgres.engine, min((one.session.day for one in newest), default=now.date()))
    parts = {}
    for one in newest:
        row = coverage[one.symbol, one.interval]
        begin = oldest.get((one.symbol, one.interval))
        over = watched.parts_over(settings, one, now)
        parts[one] = [
            part
            for part in over
            if part == one or (has_begun(part.session, begin, row) and is_settled(part, row, stored_all, now))
        ]
    stored = {one: stored_bars(influxdb, parts[one]) for one in newest}
    lacking = [part for one in newest for part in parts[one] if missing_bars(part, stored[one])]
    received = received_bars(kafka, settings, lacking)
    rows = [
        combine(
            one,
            [
                evaluate_session(
                    part,
                    stored[one],
                    received.get(part, set()),
                    coverage[one.symbol, one.interval],
                    repairs.get(one.key),
                )
                for part in parts[one]
            ],
        )
        for one in newest
    ]
    return _evaluation(rows, repairs)


def stored_bars(influxdb: InfluxDBResource, parts: Sequence[SeriesSession]) -> set[datetime]:
    """Return the starts of the stored bars in `parts`: trading intervals of one series, in the order of time."""
    first, last = parts[0], parts[-1]
    return influxdb.starts(first.symbol, first.interval, first.session.opened, last.session.closed)


def received_bars(
    kafka: KafkaResource, settings: CodeLocationSettings, sessions: Sequence[SeriesSession]
) -> dict[SeriesSession, set[datetime]]:
    """Return the starts of the sessions' bars in the topic.

    Reads the topic from the first session's open on, since no bar is sent before it begins; of a session of years ago,
    as in a replay, that is all of it.
    """
    found: dict[SeriesSession, set[datetime]] = {one: set() for one in sessions}
    if not sessions:
        return found
    of_series: dict[tuple[str, str], list[SeriesSession]] = defaultdict(list)
    for one in sessions:
        of_series[one.symbol, one.interval].append(one)
    since = min(one.session.opened for one in sessions) - timedelta(minutes=1)  # clocks differ
    for message in kafka.messages(settings.names.topic, since):
        fields = fields_of(message.value)
        for one in of_series.get((str(fields.get("symbol")), str(fields.get("interval"))), ()):
            start = _moment(fields.get("timestamp"))
            if start is not None and one.session.opened <= start < one.session.closed:
                found[one].add(start)
    return found


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _newest(settled: Iterable[SeriesSession]) -> list[SeriesSession]:
    newest: dict[tuple[str, str], SeriesSession] = {}
    for one in settled:
        before = newest.get((one.symbol, one.interval))
        if before is None or one.session.day > before.session.day:
            newest[one.symbol, one.interval] = one
    return [newest[series] for series in sorted(newest)]


def _evaluation(rows: Sequence[Completeness], repairs: Mapping[Key, SessionRepair]) -> Evaluation:
    incomplete = [row for row in rows if row.recoverable]
    missing = sum(row.expected - row.stored for row in rows)
    recoverable = sum(row.recoverable for row in rows)
    if not rows:
        summary = "no session is over and stored yet"
    elif incomplete:
        summary = f"{recoverable:,} bars of {len(incomplete)} sessions are missing: " + ", ".join(
            f"{row.of.symbol} {row.of.session.day}" for row in incomplete[:10]
        )
    elif missing:
        summary = f"{len(rows)} sessions are complete but for {missing:,} bars that the source has none of"
    else:
        summary = f"all bars of {len(rows)} sessions are stored"
    figures = {"bars_missing": missing, "bars_missing_of_ours": recoverable}
    table = [_row(row, repairs.get(row.of.key)) for row in rows]
    return Evaluation("session_is_complete", not incomplete, summary, table, figures)


def _row(row: Completeness, repair: SessionRepair | None) -> dict[str, Cell]:
    gaps = [str(gap) for gap in row.gaps[:_NAMED_GAPS]]
    more = len(row.gaps) - len(gaps)
    return {
        "session": f"{row.of.session.day}",
        "symbol": row.of.symbol,
        "interval": row.of.interval,
        "expected": row.expected,
        "given": row.received,
        "stored": row.stored,
        "recoverable": row.recoverable,
        "gaps": "; ".join(gaps + ([f"and {more} more"] if more else [])),
        "repair": _repair_state(repair),
    }


def _repair_state(repair: SessionRepair | None) -> str:
    if repair is None:
        return ""
    if repair.asked_at is None:
        return f"asked for since {repair.requested_at:%Y-%m-%d %H:%MZ}"
    received = f"asked again at {repair.asked_at:%Y-%m-%d %H:%MZ}, {repair.bars_given} bars given"
    return received if repair.finished_at else f"{received}, not all stored yet"
