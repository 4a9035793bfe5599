"""The verdicts on the prices, for the checks that a person runs and for the sensor that records them each minute."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from spark_streaming.contract.lifecycle import is_locked, read_heartbeat
from spark_streaming.contract.schema import HEADER_REASON, Source
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.market.accounting import Account, Message, accounts, symbol_of
from stock_assets.market.calendars import delay_of, exchange_for, is_open
from stock_assets.market.coverage import UNKNOWN_SYMBOL, Coverage
from stock_assets.market.freshness import Freshness, expected_newest, judge
from stock_assets.market.lag import SEVERE, Waiting, lag
from stock_assets.market.plausibility import FROZEN_BARS, Jump, Standstill, jumps, standstills
from stock_assets.resources.influxdb import InfluxDBResource, Series
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.choose import source_of
from stock_assets.store.coverage import read_coverage

START_UP = timedelta(minutes=3)  # until the first bar of all is stored: Spark alone takes up to a minute
_COUNTED_LETTERS = 1_000
_WARN = dg.AssetCheckSeverity.WARN
_PLAUSIBLE_BARS = 5_000  # of each symbol: twenty years of days, or a month of 2-minute bars


@dataclass(frozen=True)
class Judgement:
    """A verdict with its numbers, not yet said to be of a run or of a sensor."""

    check: str
    passed: bool
    summary: str
    table: Sequence[dg.TableRecord]
    figures: Mapping[str, float]  # plotted over time by the UI
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        """What the UI shows."""
        shown: dict[str, dg.MetadataValue] = {"summary": dg.MetadataValue.text(self.summary)}
        if self.table:
            shown["details"] = dg.MetadataValue.table(list(self.table))
        return {**shown, **{name: dg.MetadataValue.float(float(figure)) for name, figure in self.figures.items()}}

    def as_result(self) -> dg.AssetCheckResult:
        """For a check that runs."""
        return dg.AssetCheckResult(
            passed=self.passed,
            check_name=self.check,
            severity=self.severity,
            metadata=self.metadata,
            description=self.summary,
        )

    def as_evaluation(self, key: dg.AssetKey = MEASUREMENT_KEY) -> dg.AssetCheckEvaluation:
        """For a sensor: recorded with no run."""
        return dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=self.check,
            passed=self.passed,
            severity=self.severity,
            metadata=self.metadata,
            description=self.summary,
        )


def waiting(settings: CodeLocationSettings, kafka: KafkaResource) -> list[Waiting]:
    """What of each partition the stream has not yet done with, by its own last word."""
    heartbeat = read_heartbeat(settings.state_of("stream"))
    return kafka.waiting(settings.names.topic, heartbeat.offsets if heartbeat else {})


def keeping_up(settings: CodeLocationSettings, found: Sequence[Waiting], now: datetime) -> Judgement:
    """Whether no message has been waiting to be stored for longer than a bar may take."""
    behind, messages = lag(found, now), sum(partition.messages for partition in found)
    allowed = timedelta(seconds=settings.freshness_grace_seconds)
    starting = now - settings.stack_started_at < START_UP
    severity = dg.AssetCheckSeverity.ERROR if behind > SEVERE * allowed else dg.AssetCheckSeverity.WARN
    if messages:
        summary = f"{messages:,} messages wait to be stored, the oldest for {behind.total_seconds():,.0f} s"
    else:
        summary = "every message is stored"
    return Judgement(
        "stream_keeps_up",
        behind <= allowed or starting,
        summary,
        [_waiting_row(partition, now) for partition in found],
        {"lag_seconds": behind.total_seconds(), "lag_messages": messages},
        severity,
    )


def _waiting_row(partition: Waiting, now: datetime) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "partition": partition.partition,
            "next_offset": partition.next_offset,
            "end_offset": partition.end_offset,
            "waiting": partition.messages,
            "oldest_sent_at": _text(partition.oldest_sent_at),
            "lag_seconds": round(partition.age(now).total_seconds(), 1),
        }
    )


def lag_of(settings: CodeLocationSettings, kafka: KafkaResource) -> int:
    """Messages in the topic that the stream has not yet done with, by its own last word."""
    heartbeat = read_heartbeat(settings.state_of("stream"))
    done = heartbeat.offsets if heartbeat else {}
    ends = kafka.end_offsets(settings.names.topic)
    return sum(max(0, end - done.get(partition, 0)) for partition, end in ends.items())


def clock_of(settings: CodeLocationSettings, coverage: Sequence[Coverage], now: datetime) -> datetime:
    """The time by which bars are judged: a replay's clock is its newest published bar."""
    if settings.source is not Source.REPLAY:
        return now
    return max((row.newest_bar for row in coverage if row.newest_bar), default=now)


def is_replaying(settings: CodeLocationSettings, lag: int, now: datetime) -> bool:
    """Whether recorded bars are on their way at a speed at which "late" means nothing."""
    if settings.source is not Source.REPLAY:
        return False
    if is_locked(settings.state_of("ingest")):
        return True
    producer = read_heartbeat(settings.state_of("ingest"))
    grace = timedelta(seconds=settings.freshness_grace_seconds)
    return lag > 0 and (producer is None or now - producer.written_at < grace)


def freshness(
    settings: CodeLocationSettings, influxdb: InfluxDBResource, postgres: PostgresResource, now: datetime
) -> Judgement:
    """Whether the newest bar that should be stored by now is."""
    coverage = source_of(settings).watched_rows(read_coverage(postgres.engine), now)
    clock = clock_of(settings, coverage, now)
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
    return Judgement(
        "prices_are_fresh", not late, summary, table, {"late_symbols": len(late), "latest_by_seconds": worst}
    )


def freshness_rows(
    settings: CodeLocationSettings, coverage: Sequence[Coverage], newest: Mapping[Series, datetime], now: datetime
) -> list[Freshness]:
    """The verdict on each row of `coverage`, by symbol; `newest` is the newest bar that is stored of each series."""
    clock = clock_of(settings, coverage, now)
    starting = settings.source is not Source.REPLAY and now - settings.stack_started_at < START_UP
    rows = []
    for row in sorted(coverage, key=lambda row: (row.symbol, row.interval)):
        stored = newest.get((row.symbol, row.interval))
        expected = None if starting and stored is None else _expected(settings, row, clock)
        rows.append(judge(row.symbol, row.interval, stored, expected))
    return rows


def _expected(settings: CodeLocationSettings, row: Coverage, clock: datetime) -> datetime | None:
    if row.last_answer.startswith(UNKNOWN_SYMBOL):
        return row.newest_bar  # it rests: the source knows it no longer
    exchange = exchange_of_bars(settings, row.symbol)
    grace = timedelta(seconds=settings.freshness_grace_seconds)
    if settings.source is Source.YAHOO:
        grace += timedelta(seconds=settings.yahoo_delay_seconds) + delay_of(exchange)
    return expected_newest(exchange, row.interval, grace, row, clock)


def exchange_of_bars(settings: CodeLocationSettings, symbol: str) -> str:
    """The calendar by which a symbol's bars come: a simulation never closes."""
    return exchange_for(settings.source, symbol)


def _freshness_row(settings: CodeLocationSettings, row: Freshness, clock: datetime) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "symbol": row.symbol,
            "interval": row.interval,
            "newest": _text(row.newest),
            "expected": _text(row.expected),
            "late_by": str(row.late_by) if row.late_by else "",
            "verdict": row.verdict.value,
            "market": "open" if is_open(exchange_of_bars(settings, row.symbol), clock) else "closed",
        }
    )


@dataclass(frozen=True)
class Books:
    """A row a symbol, and how many of the messages the stream had not come to."""

    accounts: list[Account]
    on_their_way: int


def books(settings: CodeLocationSettings, kafka: KafkaResource, influxdb: InfluxDBResource) -> Books:
    """Read both topics and the bucket, and close the books. Takes some seconds per million messages."""
    # In this order: what is published or stored meanwhile is on its way then, and not missing.
    heartbeat = read_heartbeat(settings.state_of("stream"))
    done = heartbeat.offsets if heartbeat else {}
    stored: dict[str, tuple[int, datetime, datetime]] = {}
    for (symbol, _), of in influxdb.stored().items():
        points, oldest, newest = stored.get(symbol, (0, of.oldest, of.newest))
        stored[symbol] = (points + of.points, min(oldest, of.oldest), max(newest, of.newest))
    coming = 0

    def counted(messages: Iterable[Message]) -> Iterator[Message]:
        nonlocal coming
        for message in messages:
            coming += message.offset >= done.get(message.partition, 0)
            yield message

    published = counted(kafka.messages(settings.names.topic))
    rows = accounts(published, kafka.messages(settings.names.dead_letter_topic), stored)
    return Books(rows, coming)


def accounting(settings: CodeLocationSettings, kafka: KafkaResource, influxdb: InfluxDBResource) -> Judgement:
    """Whether every published bar is stored once or dead-lettered; what is on its way may still be missing."""
    closed = books(settings, kafka, influxdb)
    rows = closed.accounts
    missing = sum(abs(row.missing) for row in rows)
    passed = missing == 0 or (all(row.missing >= 0 for row in rows) and missing <= closed.on_their_way)
    published, stored = sum(row.published for row in rows), sum(row.stored for row in rows)
    summary = f"{published:,} published, {stored:,} stored, {sum(r.dead_lettered for r in rows):,} dead-lettered"
    if missing:
        summary += f", {missing:,} unaccounted for, {closed.on_their_way:,} on their way"
    figures = {"published": published, "stored": stored, "unaccounted_for": missing}
    return Judgement("stored_equals_published", passed, summary, [_account_row(row) for row in rows], figures)


def _account_row(row: Account) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "symbol": row.symbol,
            "published": row.published,
            "superseded": row.superseded,
            "stored": row.stored,
            "dead_lettered": row.dead_lettered,
            "oldest": _text(row.oldest),
            "newest": _text(row.newest),
        }
    )


def plausibility(influxdb: InfluxDBResource) -> Judgement:
    """Whether a price jumped or stood still so long that a person should look; both may be real."""
    series = influxdb.closes(_PLAUSIBLE_BARS)
    jumped = [jump for (s, i), closes in series.items() for jump in jumps(s, i, closes)]
    frozen = [stop for (s, i), closes in series.items() for stop in standstills(s, i, closes)]
    said = [f"{len(jumped)} jumps of more than 25 % from close to close"] if jumped else []
    said += [f"{len(frozen)} prices that stood still for {FROZEN_BARS} bars or more"] if frozen else []
    summary = ", ".join(said) or "no jump of more than 25 %, and no price that stands still"
    table = [_jump_row(jump) for jump in jumped] + [_standstill_row(stop) for stop in frozen]
    figures = {"jumps": len(jumped), "standstills": len(frozen)}
    return Judgement("prices_are_plausible", not said, summary, table, figures, _WARN)


def _standstill_row(stop: Standstill) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "symbol": stop.symbol,
            "interval": stop.interval,
            "bar": _text(stop.begin),
            "close_before": stop.close,
            "close": stop.close,
            "change_percent": 0.0,
            "bars": stop.bars,
        }
    )


def _jump_row(jump: Jump) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "symbol": jump.symbol,
            "interval": jump.interval,
            "bar": _text(jump.start),
            "close_before": jump.before,
            "close": jump.after,
            "change_percent": round(jump.change * 100, 1),
            "bars": 1,
        }
    )


def dead_letters(
    kafka: KafkaResource, topic: str, check: str = "no_dead_letters", counted_by: str = "stocks dead-letters list"
) -> Judgement:
    """Whether every message could be stored, or lies in the dead-letter topic `topic`."""
    letters = sum(kafka.end_offsets(topic).values())
    if not letters:
        return Judgement(check, True, "every message could be stored", [], {"dead_letters": 0}, _WARN)
    # Reading them takes a second per ten thousand; `stocks dead-letters list` counts any number.
    table = _letter_rows(kafka.messages(topic)) if letters <= _COUNTED_LETTERS else []
    summary = f"{letters:,} messages in {topic}; `{counted_by}` counts them by reason"
    return Judgement(check, False, summary, table, {"dead_letters": letters}, _WARN)


def _letter_rows(letters: Iterable[Message]) -> list[dg.TableRecord]:
    counted = Counter((symbol_of(letter), letter.headers[HEADER_REASON].decode()) for letter in letters)
    return [
        dg.TableRecord({"symbol": symbol, "reason": reason, "messages": times})
        for (symbol, reason), times in sorted(counted.items())
    ]


def _text(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}" if moment else ""
