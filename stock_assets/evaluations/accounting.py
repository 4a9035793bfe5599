"""The books: every message that was published is stored or dead-lettered."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from spark_streaming.contract.heartbeat import read_heartbeat
from stock_assets.evaluations.evaluation import Cell, Evaluation, format_time
from stock_assets.pipeline.accounting import Account, accounts
from stock_assets.pipeline.kafka_records import KafkaRecord
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import CodeLocationSettings


@dataclass(frozen=True)
class AccountingReport:
    """A row a symbol, and how many of the messages the stream had not come to."""

    accounts: list[Account]
    on_their_way: int
    aged_out: int = 0  # messages that the topic doesn't hold any more


def read_accounts(settings: CodeLocationSettings, kafka: KafkaResource, influxdb: InfluxDBResource) -> AccountingReport:
    """Read both topics and the bucket, and close the books. Takes some seconds per million messages."""
    # In this order: what is published or stored meanwhile is on its way then, and not missing.
    heartbeat = read_heartbeat(settings.state_of("stream"))
    done = heartbeat.offsets if heartbeat else {}
    stored: dict[str, tuple[int, datetime, datetime]] = {}
    for (symbol, _), of in influxdb.stored().items():
        points, oldest, newest = stored.get(symbol, (0, of.oldest, of.newest))
        stored[symbol] = (points + of.points, min(oldest, of.oldest), max(newest, of.newest))
    coming = 0

    def counted(messages: Iterable[KafkaRecord]) -> Iterator[KafkaRecord]:
        nonlocal coming
        for message in messages:
            coming += message.offset >= done.get(message.partition, 0)
            yield message

    published = counted(kafka.messages(settings.names.topic))
    rows = accounts(published, kafka.messages(settings.names.dead_letter_topic), stored)
    return AccountingReport(rows, coming, sum(kafka.first_offsets(settings.names.topic).values()))


def evaluate_accounting(settings: CodeLocationSettings, kafka: KafkaResource, influxdb: InfluxDBResource) -> Evaluation:
    """Whether every published bar is stored once or dead-lettered; what is on its way may still be missing."""
    closed = read_accounts(settings, kafka, influxdb)
    rows = closed.accounts
    missing, too_many = (sum(max(sign * row.missing, 0) for row in rows) for sign in (1, -1))
    # What has aged out of the topic stays stored, and is more than it knows of.
    passed = missing <= closed.on_their_way and (too_many == 0 or closed.aged_out > 0)
    unaccounted = missing + (0 if closed.aged_out else too_many)
    published, stored = sum(row.published for row in rows), sum(row.stored for row in rows)
    summary = f"{published:,} published, {stored:,} stored, {sum(r.dead_lettered for r in rows):,} dead-lettered"
    if unaccounted:
        summary += f", {unaccounted:,} unaccounted for, {closed.on_their_way:,} on their way"
    if closed.aged_out:
        summary += f"; {closed.aged_out:,} messages have aged out of the topic, and no book can be kept of them"
    figures = {
        "published": published,
        "stored": stored,
        "unaccounted_for": unaccounted,
        "aged_out": closed.aged_out,
    }
    return Evaluation("stored_equals_published", passed, summary, [_account_row(row) for row in rows], figures)


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
