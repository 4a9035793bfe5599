"""The checks of the quotes: for a person who runs them, and for the sensor that records them each minute."""

from datetime import datetime, timedelta

from spark_streaming.contract.heartbeat import behind, read_heartbeat
from spark_streaming.contract.schema import Source
from stock_assets.evaluations.evaluation import STACK_STARTUP_GRACE, Cell, Evaluation
from stock_assets.market.symbols import ALWAYS_OPEN
from stock_assets.pipeline.quote_freshness import QuoteFreshness, by_exchange, evaluate_quotes
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import CodeLocationSettings
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage


def quote_message_lag(settings: CodeLocationSettings, kafka: KafkaResource) -> int:
    """Return how many quotes the stream has not processed, by its last heartbeat; 0 if the source has none."""
    if not settings.source.has_quotes:
        return 0
    heartbeat = read_heartbeat(settings.state_of("stream"))
    done = heartbeat.quotes.offsets if heartbeat and heartbeat.quotes else {}
    ends = kafka.end_offsets(settings.names.quote_topic)
    return behind(ends, done)


def evaluate_quote_freshness(
    settings: CodeLocationSettings, influxdb: InfluxDBResource, postgres: PostgresResource, now: datetime
) -> Evaluation:
    """Evaluate whether each open exchange has a recent stored quote; report whether quotes are streamed or polled."""
    check = "quotes_are_fresh"
    if not settings.source.has_quotes:
        return Evaluation(check, True, f"source {settings.source} has no quotes", [], {"late_exchanges": 0})
    source, grace = make_source(settings), timedelta(seconds=settings.quote_grace_seconds)
    if now - settings.stack_started_at < STACK_STARTUP_GRACE or not source.is_due(read_coverage(postgres.engine), now):
        return Evaluation(check, True, "no quote is expected now", [], {"late_exchanges": 0})
    simulated = settings.source is Source.SIMULATED
    exchanges = {ALWAYS_OPEN: list(source.symbols)} if simulated else by_exchange(source.symbols)
    rows = evaluate_quotes(exchanges, influxdb.newest_quotes(now - timedelta(days=7)), grace, now)
    late = [row for row in rows if not row.passed]
    expected = [row for row in rows if row.expected]
    if late:
        names = ", ".join(row.exchange for row in late)
        summary = f"no quote for {grace.total_seconds():.0f} s though open: {names}"
    elif expected:
        summary = f"quotes come of {len(expected)} open exchanges"
    else:
        summary = "no market has been open for long enough"
    return Evaluation(
        check,
        not late,
        f"{summary}. {_delivery_sentence(settings)}",
        [_row(row) for row in rows],
        {"late_exchanges": len(late)},
    )


def _delivery_sentence(settings: CodeLocationSettings) -> str:
    """The details about quotes in the heartbeats of both programs."""
    details = []
    for program, name in (("ingest", "Producer"), ("stream", "stream")):
        heartbeat = read_heartbeat(settings.state_of(program))
        if heartbeat is not None and heartbeat.quotes is not None:
            details.append(f"{name}: {heartbeat.quotes.detail}")
    return "; ".join(details)


def _row(row: QuoteFreshness) -> dict[str, Cell]:
    def text(moment: datetime | None) -> str:
        return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z" if moment else ""

    return {
        "exchange": row.exchange,
        "symbols": ", ".join(row.symbols),
        "newest": text(row.newest),
        "expected_since": text(row.expected),
        "verdict": "fresh" if row.expected and row.passed else "late" if not row.passed else "nothing expected",
    }
