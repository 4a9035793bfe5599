"""The checks of dead letters, of bars and of quotes: an open one is a warning, a settled one is none."""

from dataclasses import dataclass

from spark_streaming.contract.schema import SourceNames
from stock_assets.evaluations.evaluation import Cell, CheckSeverity, Evaluation
from stock_assets.pipeline.dead_letters import DeadLetterCount, count_dead_letters
from stock_assets.resources.kafka import KafkaResource

COUNTED_EACH_MINUTE = 100_000  # records; reading them takes six seconds, and a sensor's tick has sixty


@dataclass(frozen=True)
class DeadLetterTopic:
    """A dead-letter topic, and the check that counts it."""

    check: str
    topic: str
    list_command: str


def bar_dead_letters(names: SourceNames) -> DeadLetterTopic:
    """Return the dead-letter topic of the bars."""
    return DeadLetterTopic("no_dead_letters", names.dead_letter_topic, "stocks dead-letters list")


def quote_dead_letters(names: SourceNames) -> DeadLetterTopic:
    """Return the dead-letter topic of the quotes."""
    return DeadLetterTopic("no_quote_dead_letters", names.quote_dead_letter_topic, "stocks dead-letters list --quotes")


def record_count(kafka: KafkaResource, box: DeadLetterTopic) -> int:
    """Return how many records were ever written to the topic: while it stays the same, so does the result."""
    return sum(kafka.end_offsets(box.topic).values())


def evaluate_dead_letters(kafka: KafkaResource, box: DeadLetterTopic, at_most: int | None = None) -> Evaluation:
    """Evaluate whether every dead letter is settled.

    Reads the whole topic, unless more than `at_most` records were written to it: then it warns without their numbers.
    """
    records = record_count(kafka, box)
    if at_most is not None and records > at_most:
        summary = (
            f"{records:,} records in {box.topic}, too many to be counted each minute: run this check by hand, or "
            f"`{box.list_command}`"
        )
        return Evaluation(box.check, False, summary, [], {}, CheckSeverity.WARN)
    return evaluate_counts(box, count_dead_letters(kafka.messages(box.topic)) if records else [])


def evaluate_counts(box: DeadLetterTopic, counted: list[DeadLetterCount]) -> Evaluation:
    """Return the result for these counts."""
    still_open, settled = sum(count.open for count in counted), sum(count.settled for count in counted)
    if still_open:
        summary = f"{still_open:,} open dead letters in {box.topic}; `{box.list_command}` counts them by reason"
    else:
        summary = "every message could be stored" + (f", or is settled: {settled:,} are" if settled else "")
    table: list[dict[str, Cell]] = [
        {"symbol": one.symbol, "reason": one.reason, "open": one.open, "settled": one.settled}
        for one in sorted(counted, key=lambda one: -one.open)
    ]
    figures = {"dead_letters": still_open, "settled": settled}
    return Evaluation(box.check, not still_open, summary, table, figures, CheckSeverity.WARN)
