"""`stocks dead-letters`: what was refused and why, and putting it back once its cause is gone."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from infra.cli.say import answers, errors, plain_errors
from infra.local import state
from infra.local.errors import Exit, StackError
from infra.settings import RunningStackSettings

if TYPE_CHECKING:
    from infra.cli.letters import Letter
    from stock_assets.resources.kafka import KafkaResource

app = typer.Typer(
    name="dead-letters", help="Messages that can't be points: list, show, put back.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="The answer as JSON on stdout.")]
OfQuotes = Annotated[bool, typer.Option("--quotes", help="The quotes' topic instead of the bars'.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only those with this reason.")]


@app.command("list")
def list_letters(quotes: OfQuotes = False, as_json: Json = False) -> None:
    """Count the dead letters of each reason. A record counts once, however often it was dead-lettered."""
    with plain_errors():
        kafka, _, dead_letter_topic = _open(quotes)
        from infra.cli.letters import grouped, letters_of

        groups = grouped(letters_of(kafka.messages(dead_letter_topic)))
    if as_json:
        print(json.dumps([vars(group) for group in groups], default=datetime.isoformat))
        return
    table = Table("reason", "records", "oldest", "newest", title=dead_letter_topic)
    for group in groups:
        times = (f"{at:%Y-%m-%d %H:%M:%SZ}" if at else "" for at in (group.oldest, group.newest))
        table.add_row(group.reason, f"{group.count:,}", *times)
    if groups:
        answers.print(table)
    else:
        answers.print(f"Nothing is in {dead_letter_topic}.", markup=False)


@app.command("show")
def show(
    partition: Annotated[int | None, typer.Argument(help="That it had in the source's topic.")] = None,
    offset: Annotated[int | None, typer.Argument(help="That it had there.")] = None,
    reason: OfReason = None,
    quotes: OfQuotes = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest.")] = 10,
) -> None:
    """Show letters with key, value, reason and the place that they had; `show 2 1715` is one of them."""
    with plain_errors():
        kafka, _, dead_letter_topic = _open(quotes)
        from infra.cli.letters import shown

        found = [
            letter
            for letter in _letters(kafka, dead_letter_topic, reason)
            if partition in (None, letter.partition) and offset in (None, letter.offset)
        ]
    for letter in found[-limit:]:
        answers.print(f"{letter.topic}, partition {letter.partition}, offset {letter.offset}", style="bold")
        for name, text in (
            ("reason", f"{letter.reason}. {letter.error}"),
            ("key", shown(letter.key)),
            ("value", shown(letter.value)),
        ):
            answers.print(f"  {name:7}{text}", markup=False)
    if not found:
        errors.print("There is no such letter.")
    raise typer.Exit(0 if found else 1)


@app.command("replay")
def replay(
    reason: OfReason = None,
    quotes: OfQuotes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Put records back into the source's topic, byte for byte, where their cause is gone.

    None is put over a newer message about the same bar; what is skipped is said. The letters themselves stay: a topic
    can't be taken from. A bar that is published in the very moment of a replay may come before it: stop the producer.
    """
    with plain_errors():
        kafka, topic, dead_letter_topic = _open(quotes)
        from infra.cli.letters import BARS, QUOTES, Fate, fates

        letters = _letters(kafka, dead_letter_topic, reason)
        with errors.status(f"reading {topic}"):
            told = fates(
                letters, kafka.messages(topic) if letters else [], datetime.now(UTC), QUOTES if quotes else BARS
            )
        back = [letter for letter, fate in told if fate is Fate.REPLAY]
        if not dry_run:
            send_back(kafka, topic, back)
    counts = Counter(fate for _, fate in told)
    if as_json:
        print(json.dumps({fate.name.lower(): counts[fate] for fate in Fate} | {"dry_run": dry_run}))
        return
    for fate in Fate:
        answers.print(f"{counts[fate]:,} {fate}", markup=False)
    for letter, fate in told:
        if fate is not Fate.REPLAY:
            where = f"partition {letter.partition}, offset {letter.offset}"
            answers.print(f"  {where}, {letter.reason}: {fate}", markup=False)


def _open(quotes: bool) -> "tuple[KafkaResource, str, str]":
    """Kafka, the topic and its dead-letter topic."""
    home = RunningStackSettings().stocks_home
    if not state.is_up(home):
        raise StackError(f"nothing runs for {home}: start it with `stocks up`, and ask again", Exit.FAILED)
    # Dagster's resources take two seconds to import: not for `stocks --help`.
    from stock_assets.resources.kafka import KafkaResource
    from stock_assets.settings import code_location

    settings = code_location()
    names, kafka = settings.names, KafkaResource.of(settings)
    if quotes:
        return kafka, names.quote_topic, names.quote_dead_letter_topic
    return kafka, names.topic, names.dead_letter_topic


def _letters(kafka: "KafkaResource", dead_letter_topic: str, reason: str | None) -> "list[Letter]":
    from infra.cli.letters import known_reason, letters_of

    try:
        wanted = known_reason(reason)
    except ValueError as error:
        raise StackError(str(error), Exit.USAGE) from None
    found = letters_of(kafka.messages(dead_letter_topic))
    return [letter for letter in found if wanted in (None, letter.reason)]


def send_back(kafka: "KafkaResource", topic: str, letters: "list[Letter]") -> None:
    """Publish the letters to the source's topic, and wait until Kafka has them."""
    from kafka import KafkaProducer

    from spark_streaming.contract.schema import MAX_MESSAGE_BYTES

    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers.split(","), acks="all", max_request_size=MAX_MESSAGE_BYTES
    )
    try:
        # Into the partition that it had: offsets of two partitions don't compare.
        sent = [producer.send(topic, key=one.key, value=one.value, partition=one.partition) for one in letters]
        for acknowledgement in sent:
            acknowledgement.get(timeout=60)
    finally:
        producer.close()
