"""Carrying a part of the topic into InfluxDB once more, beside the stream that goes on."""

import json
import shutil
from datetime import date, datetime

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.evaluations.freshness import bar_exchange
from stock_assets.market.calendars import session_on
from stock_assets.operations.program_runs import run_subprocess
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.program_client import ProgramClient, ProgramFailedError
from stock_assets.settings import CodeLocationSettings, code_location
from stock_assets.sources.factory import make_source
from stock_assets.store.coverage import read_coverage

_PASSES = 3  # what has come since the last one is of seconds: no bar is corrected so soon


class ReprocessConfig(dg.Config):
    """Which messages: those of a day, or by their offsets. Exactly one of `session` and `from_offsets` is needed."""

    session: str = ""
    """A session date, as 2026-11-20: all messages that were sent since its first exchange opened."""
    from_offsets: dict[str, int] = {}  # noqa: RUF012 - Dagster's Config is pydantic: each instance gets its own
    """Partition -> the first offset, as {"0": 120}; partitions that aren't named are left out."""


@dg.op(description="Runs the stream's own program with --available-now and a state of its own.")
def reprocess(
    context: dg.OpExecutionContext,
    config: ReprocessConfig,
    pipes: ProgramClient,
    kafka: KafkaResource,
    postgres: PostgresResource,
) -> None:
    """Points are written again as they are, so nothing changes but what was missing.

    That holds at the topic's end alone: before it, a bar has the value of an earlier message again, and the stream
    beside it may have stored a newer one that has come meanwhile. So what has come is done, too, before it ends.
    Lock, heartbeat and checkpoint lie in a folder of this run: the stream beside it is not disturbed, and doesn't
    disturb. What can't be a point is dead-lettered again, and counts once by where it came from.
    """
    settings = code_location()
    begin = _begin(settings, config, kafka, postgres)
    for _ in range(_PASSES):
        end = kafka.end_offsets(settings.names.topic)
        _carry(context, pipes, settings, begin, end)
        if kafka.end_offsets(settings.names.topic) == end:
            return
        begin = end


def _carry(
    context: dg.OpExecutionContext,
    pipes: ProgramClient,
    settings: CodeLocationSettings,
    begin: dict[int, int],
    end: dict[int, int],
) -> None:
    context.log.info("from offsets %s to %s", begin, end)
    state = settings.state_of("replays") / context.run_id
    environment = settings.stream_environment() | {
        "STREAM_STATE": str(state),
        "STOCK_QUOTE_KAFKA_TOPIC": "",  # quotes are not replayed
        "STARTING_OFFSETS": json.dumps(begin),
        "ENDING_OFFSETS": json.dumps(end),
    }
    try:
        reported = run_subprocess(context, pipes, "spark_streaming", environment, "--available-now")
    except ProgramFailedError as error:
        raise dg.Failure(
            "The replay was cut off, and bars may have the value of an earlier message where a newer one corrects it. "
            "Run it again with the same configuration, which puts that right; the log says why it ended."
        ) from error
    finally:
        shutil.rmtree(state, ignore_errors=True)
    for result in reported:
        if isinstance(result, dg.MaterializeResult) and result.asset_key is not None:
            context.log_event(dg.AssetMaterialization(result.asset_key, metadata=result.metadata))


@dg.job(
    description=(
        'Carries messages of the topic into InfluxDB once more: those of a day (`session: "2026-11-20"`), or from '
        "offsets on. It runs beside the stream, with a checkpoint of its own, and changes no point that is there."
    ),
    tags={"dagster/max_retries": "0"},
)
def reprocess_prices() -> None:
    """One op: the program."""
    reprocess()


def _begin(
    settings: CodeLocationSettings, config: ReprocessConfig, kafka: KafkaResource, postgres: PostgresResource
) -> dict[int, int]:
    """Where each partition begins.

    Raises:
        Failure: the configuration names no part of the topic.
    """
    if bool(config.session) == bool(config.from_offsets):
        raise dg.Failure('Say which messages: either session: "2026-11-20" or from_offsets: {"0": 120}.')
    topic = settings.names.topic
    last, first = kafka.end_offsets(topic), kafka.first_offsets(topic)
    if config.session:
        return kafka.offsets_since(topic, _opening(settings, postgres, date.fromisoformat(config.session)))
    begin = last | {int(partition): offset for partition, offset in config.from_offsets.items()}
    for partition, offset in begin.items():
        if partition not in last or not first[partition] <= offset <= last[partition]:
            raise dg.Failure(
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
        raise dg.Failure(f"No exchange of the symbols in use has a session on {day}.")
    return min(opened)
