"""Which part of the bars' topic a reprocessing run reads."""

from collections.abc import Mapping
from datetime import date, datetime

from spark_streaming.contract.clock import now
from stock_assets.evaluations.freshness import bar_exchange
from stock_assets.market.calendars import session_on
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage


def first_offsets(
    settings: CodeLocationSettings,
    kafka: KafkaResource,
    postgres: PostgresResource,
    session: str,
    from_offsets: Mapping[str, int],
) -> dict[int, int]:
    """Return partition -> the first offset to reprocess: the first since `session` opened, or that of `from_offsets`.

    Raises:
        ValueError: neither or both are given, the topic has no such offset, or no exchange has such a session.
    """
    if bool(session) == bool(from_offsets):
        raise ValueError('Say which messages: either session: "2026-11-20" or from_offsets: {"0": 120}.')
    topic = settings.names.topic
    last, first = kafka.end_offsets(topic), kafka.first_offsets(topic)
    if session:
        return kafka.offsets_since(topic, _opening(settings, postgres, date.fromisoformat(session)))
    begin = last | {int(partition): offset for partition, offset in from_offsets.items()}
    for partition, offset in begin.items():
        if partition not in last or not first[partition] <= offset <= last[partition]:
            raise ValueError(
                f"{topic} has no offset {offset} in partition {partition}; it has "
                + ", ".join(f"{first[p]} to {last[p]} in {p}" for p in sorted(last))
            )
    return begin


def _opening(settings: CodeLocationSettings, postgres: PostgresResource, day: date) -> datetime:
    """When the first exchange of the symbols in use opened: no bar of the day was sent before."""
    opened = []
    for row in make_source(settings).watched_rows(read_coverage(postgres.engine), now()):
        try:
            opened.append(session_on(bar_exchange(settings, row.symbol), day).opened)
        except ValueError:  # closed on that day, or it has no calendar
            continue
    if not opened:
        raise ValueError(f"No exchange of the symbols in use has a session on {day}.")
    return min(opened)
