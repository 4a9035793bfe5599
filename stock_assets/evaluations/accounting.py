"""Accounting: every bar that was published is stored as its newest message says, or dead-lettered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from spark_streaming.contract.heartbeat import read_heartbeat
from stock_assets.evaluations.evaluation import Cell, Evaluation, format_time
from stock_assets.pipeline.accounting import Account, PublishedBar, UnstoredBar, spans, unstored
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.store.bar_ledger import BarLedger

_NAMED = 10  # bars in the summary; the rest is counted


@dataclass(frozen=True)
class AccountingReport:
    """An account for each symbol, and the bars that are not stored as last published."""

    accounts: Sequence[Account]
    unstored: int
    named: Sequence[UnstoredBar]  # the first of them
    on_their_way: int  # messages that the stream has not come to
    aged_out: int = 0  # messages that the topic doesn't hold any more

    @property
    def surplus(self) -> int:
        """Stored points that nobody has published, as far as the topic still tells."""
        return 0 if self.aged_out else sum(max(-row.missing, 0) for row in self.accounts)


def read_accounts(settings: CodeLocationSettings, kafka: KafkaResource, influxdb: InfluxDBResource) -> AccountingReport:
    """Read the new messages of both topics, and compare the bars that are not known to be stored with the bucket.

    What was found stored is remembered in `state/<source>/accounting/bars.sqlite`: the first evaluation takes some
    minutes per million messages, later ones only what is new. Where the bucket holds fewer points than were found
    stored, all bars are compared with it again.
    """
    # In this order: what is published or stored meanwhile is on its way then, and neither missing nor too much.
    heartbeat = read_heartbeat(settings.state_of("stream"))
    done = heartbeat.offsets if heartbeat else {}
    stored = _stored(influxdb)
    path = settings.state_of("accounting") / "bars.sqlite"
    with BarLedger(path, _identity(settings, kafka, influxdb)) as ledger:
        ends = _read_topics(settings, kafka, ledger)
        found = _compare(influxdb, ledger, done)
        if found.unstored and _read_topics(settings, kafka, ledger) != ends:
            found = _compare(influxdb, ledger, done)  # a newer message may have been stored meanwhile
        if ledger.shortfall(stored) and ledger.shortfall(_stored(influxdb)):  # the second count has what came meanwhile
            ledger.reopen_all_bars()
            found = _compare(influxdb, ledger, done)
        unreadable = list(ledger.unreadable(done))
        return AccountingReport(
            ledger.accounts(stored),
            found.unstored + len(unreadable),
            [*found.named, *unreadable][:_NAMED],
            sum(max(0, end - done.get(partition, 0)) for partition, end in ends.items()),
            sum(kafka.first_offsets(settings.names.topic).values()),
        )


def _identity(settings: CodeLocationSettings, kafka: KafkaResource, influxdb: InfluxDBResource) -> str:
    parts = (kafka.bootstrap_servers, settings.names.topic, influxdb.org, influxdb.bucket, influxdb.measurement)
    return "\n".join(parts)


def _stored(influxdb: InfluxDBResource) -> dict[str, tuple[int, datetime, datetime]]:
    """Symbol -> points, start of the oldest bar, start of the newest, over all intervals."""
    stored: dict[str, tuple[int, datetime, datetime]] = {}
    for (symbol, _), of in influxdb.stored().items():
        points, oldest, newest = stored.get(symbol, (0, of.oldest, of.newest))
        stored[symbol] = (points + of.points, min(oldest, of.oldest), max(newest, of.newest))
    return stored


def _read_topics(settings: CodeLocationSettings, kafka: KafkaResource, ledger: BarLedger) -> dict[int, int]:
    """Enter what is new in both topics; returns where the topic of the bars ends. Dead letters first."""
    topic, dead_letter_topic = settings.names.topic, settings.names.dead_letter_topic
    ends, dead_ends = kafka.end_offsets(topic), kafka.end_offsets(dead_letter_topic)
    read = ledger.positions(topic)
    ahead = [
        partition
        for positions, of in ((read, ends), (ledger.positions(dead_letter_topic), dead_ends))
        for partition, offset in positions.items()
        if offset > of.get(partition, 0)
    ]
    if ahead:  # the topic was deleted and created again
        ledger.clear()
        read = {}
    dead_letters = kafka.messages(dead_letter_topic, begin=ledger.positions(dead_letter_topic))
    ledger.set_positions(dead_letter_topic, dead_ends | ledger.add_dead_letters(dead_letters, read))
    ends |= ledger.add_messages(kafka.messages(topic, begin=read))
    ledger.set_positions(topic, ends)
    return ends


@dataclass(frozen=True)
class _Found:
    unstored: int
    named: Sequence[UnstoredBar]


def _compare(influxdb: InfluxDBResource, ledger: BarLedger, done: Mapping[int, int]) -> _Found:
    """Hold the open bars against their points, a bounded part of a series at a time; close those that are stored."""
    count, named = 0, list[UnstoredBar]()
    for span in spans(ledger.open_bars(done)):
        wrong = _compare_span(influxdb, span)
        ledger.close_bars(bar for bar, unstored_bar in wrong if unstored_bar is None)
        faults = [unstored_bar for _, unstored_bar in wrong if unstored_bar is not None]
        count += len(faults)
        named += faults[: _NAMED - len(named)]
    return _Found(count, named)


def _compare_span(
    influxdb: InfluxDBResource, span: Sequence[PublishedBar]
) -> list[tuple[PublishedBar, UnstoredBar | None]]:
    first, last = span[0], span[-1]
    points = influxdb.bars(first.symbol, first.interval, first.start, last.start)
    return [(bar, unstored(bar, points.get(bar.start))) for bar in span]


def evaluate_accounting(settings: CodeLocationSettings, kafka: KafkaResource, influxdb: InfluxDBResource) -> Evaluation:
    """Evaluate whether every bar that the stream has processed is stored as last published, or dead-lettered."""
    report = read_accounts(settings, kafka, influxdb)
    rows, unaccounted = report.accounts, report.unstored + report.surplus
    published, stored = sum(row.published for row in rows), sum(row.stored for row in rows)
    summary = f"{published:,} published, {stored:,} stored, {sum(r.dead_lettered for r in rows):,} dead-lettered"
    if report.on_their_way:
        summary += f", {report.on_their_way:,} on their way"
    if unaccounted:
        summary += f", {unaccounted:,} unaccounted for"
    if report.named:
        summary += ": " + ", ".join(map(str, report.named))
    if report.unstored > len(report.named):
        summary += f" and {report.unstored - len(report.named):,} more"
    if report.aged_out:
        summary += f"; {report.aged_out:,} messages have aged out of the topic and may not be accounted for"
    figures = {
        "published": published,
        "stored": stored,
        "unaccounted_for": unaccounted,
        "aged_out": report.aged_out,
    }
    return Evaluation(
        "stored_equals_published", unaccounted == 0, summary, [_account_row(row) for row in rows], figures
    )


def _account_row(row: Account) -> dict[str, Cell]:
    return {
        "symbol": row.symbol,
        "published": row.published,
        "superseded": row.superseded,
        "stored": row.stored,
        "dead_lettered": row.dead_lettered,
        "oldest": format_time(row.oldest),
        "newest": format_time(row.newest),
    }
