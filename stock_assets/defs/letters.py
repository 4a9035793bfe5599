"""The verdict on dead letters, of bars and of quotes: those that are open warn, those that are settled don't."""

from dataclasses import dataclass

import dagster as dg

from spark_streaming.contract.schema import SourceNames
from stock_assets.defs.judgement import Judgement
from stock_assets.market.letters import Tally, tallies
from stock_assets.resources.kafka import KafkaResource

COUNTED_EACH_MINUTE = 100_000  # records; reading them takes six seconds, and a sensor's tick has sixty


@dataclass(frozen=True)
class LetterBox:
    """A dead-letter topic, and the check that judges it."""

    check: str
    topic: str
    list_command: str


def letters_of_bars(names: SourceNames) -> LetterBox:
    """Where bars lie that could not be stored."""
    return LetterBox("no_dead_letters", names.dead_letter_topic, "stocks dead-letters list")


def letters_of_quotes(names: SourceNames) -> LetterBox:
    """Where quotes lie that could not be stored."""
    return LetterBox("no_quote_dead_letters", names.quote_dead_letter_topic, "stocks dead-letters list --quotes")


def written(kafka: KafkaResource, box: LetterBox) -> int:
    """How many records were ever written to the topic: while this number stays, so does the verdict."""
    return sum(kafka.end_offsets(box.topic).values())


def judge_letters(kafka: KafkaResource, box: LetterBox, at_most: int | None = None) -> Judgement:
    """Whether every letter is settled.

    Reads the whole topic, unless more than `at_most` records were written to it: then it warns without their numbers.
    """
    records = written(kafka, box)
    if at_most is not None and records > at_most:
        summary = (
            f"{records:,} records in {box.topic}, too many to be counted each minute: run this check by hand, or "
            f"`{box.list_command}`"
        )
        return Judgement(box.check, False, summary, [], {}, dg.AssetCheckSeverity.WARN)
    return verdict(box, tallies(kafka.messages(box.topic)) if records else [])


def verdict(box: LetterBox, counted: list[Tally]) -> Judgement:
    """The verdict on what was counted."""
    still_open, settled = sum(tally.open for tally in counted), sum(tally.settled for tally in counted)
    if still_open:
        summary = f"{still_open:,} open letters in {box.topic}; `{box.list_command}` counts them by reason"
    else:
        summary = "every message could be stored" + (f", or is settled: {settled:,} are" if settled else "")
    table = [
        dg.TableRecord({"symbol": one.symbol, "reason": one.reason, "open": one.open, "settled": one.settled})
        for one in sorted(counted, key=lambda one: -one.open)
    ]
    figures = {"dead_letters": still_open, "settled": settled}
    return Judgement(box.check, not still_open, summary, table, figures, dg.AssetCheckSeverity.WARN)
