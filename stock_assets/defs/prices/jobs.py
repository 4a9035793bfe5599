"""The jobs of the prices: one for each long-lived program, one for all checks, and one that reprocesses messages."""

import json
import shutil

import dagster as dg

from stock_assets.defs.prices.assets import MEASUREMENT_KEY, TOPIC_KEY
from stock_assets.defs.quotes.assets import QUOTE_MEASUREMENT_KEY, QUOTE_TOPIC_KEY
from stock_assets.operations.program_runs import run_subprocess
from stock_assets.operations.reprocessing import first_offsets
from stock_assets.operations.roles import JOB_OF
from stock_assets.pipeline.desired_state import Role
from stock_assets.resources.kafka import KafkaResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.program_client import ProgramClient, ProgramFailedError
from stock_assets.resources.settings import InjectedSettings
from stock_assets.settings import CodeLocationSettings

_PASSES = 3  # a pass takes what arrived during the one before; no bar is corrected within seconds

publish_prices = dg.define_asset_job(
    JOB_OF[Role.PRODUCER],
    selection=dg.AssetSelection.assets(TOPIC_KEY, QUOTE_TOPIC_KEY).without_checks(),
    description="The producer: source -> Kafka.",
)

stream_prices = dg.define_asset_job(
    JOB_OF[Role.STREAM],
    selection=dg.AssetSelection.assets(MEASUREMENT_KEY, QUOTE_MEASUREMENT_KEY).without_checks(),
    description="The stream: Kafka -> InfluxDB.",
)

evaluate_all_checks = dg.define_asset_job(
    "evaluate_all_checks",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Every asset check, now.",
)


class ReprocessConfig(dg.Config):
    """Which messages: those of a day, or by their offsets. Exactly one of `session` and `from_offsets` is needed."""

    session: str = ""
    """A session date, as 2026-11-20: all messages that were sent since its first exchange opened."""
    from_offsets: dict[str, int] = {}  # noqa: RUF012 - Dagster's Config is pydantic: each instance gets its own
    """Partition -> the first offset, as {"0": 120}; partitions that aren't named are left out."""


@dg.op(description="Runs the stream's program with --available-now and a separate state folder.")
def reprocess(
    context: dg.OpExecutionContext,
    config: ReprocessConfig,
    settings: InjectedSettings,
    pipes: ProgramClient,
    kafka: KafkaResource,
    postgres: PostgresResource,
) -> None:
    """Write the points of the messages again: only missing points change the bucket.

    That holds at the topic's end alone: before it, a bar has the value of an earlier message again, and the running
    stream may have stored a newer one meanwhile. So messages that arrive meanwhile are reprocessed too.
    Lock, heartbeat and checkpoint are in a folder of this run, so that it and the running stream don't affect each
    other. What can't be a point is dead-lettered again, and counts once by where it came from.
    """
    try:
        begin = first_offsets(settings, kafka, postgres, config.session, config.from_offsets)
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
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
            "Run it again with the same configuration, which puts that right; the log has the reason."
        ) from error
    finally:
        shutil.rmtree(state, ignore_errors=True)
    for result in reported:
        if isinstance(result, dg.MaterializeResult) and result.asset_key is not None:
            context.log_event(dg.AssetMaterialization(result.asset_key, metadata=result.metadata))


@dg.job(
    description=(
        'Writes messages of the topic to InfluxDB again: those of a day (`session: "2026-11-20"`), or from '
        "offsets on. It can run while the stream runs, has a separate checkpoint, and changes no point that is stored."
    ),
)
def reprocess_prices() -> None:
    """One op: the program."""
    reprocess()
