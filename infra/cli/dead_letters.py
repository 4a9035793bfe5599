"""`stocks dead-letters`: what was refused and why, putting it back once its cause is gone, and settling what stays."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from infra.cli.console import answers, errors, plain_errors
from infra.host.errors import Exit, StackError
from infra.settings import RunningStackSettings
from infra.stack import state

if TYPE_CHECKING:
    from stock_assets.pipeline.dead_letters import DeadLetter, SettlementOutcome
    from stock_assets.resources.kafka import KafkaResource

app = typer.Typer(
    name="dead-letters", help="Messages that can't be points: list, show, put back, dismiss.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="The answer as JSON on stdout.")]
OfQuotes = Annotated[bool, typer.Option("--quotes", help="The quotes' topic instead of the bars'.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only those with this reason.")]
SettledToo = Annotated[bool, typer.Option("--all", help="Also those that are settled: put back, or dismissed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Partition = Annotated[int | None, typer.Argument(help="That it had in the source's topic.")]
Offset = Annotated[int | None, typer.Argument(help="That it had there.")]


@app.command("list")
def list_letters(quotes: OfQuotes = False, settled: SettledToo = False, as_json: Json = False) -> None:
    """Count the open letters of each reason. A record counts once, however often it was dead-lettered."""
    with plain_errors():
        kafka, _, dead_letter_topic = _open(quotes)
        from stock_assets.pipeline.requeue_policy import DeadLetterFilter, group_dead_letters

        letters, choice = _letters(kafka, dead_letter_topic), DeadLetterFilter(settled=settled)
        groups = group_dead_letters(letter for letter in letters if letter in choice)
    if as_json:
        print(json.dumps([vars(group) for group in groups], default=datetime.isoformat))
        return
    state_too = ["state"] if settled else []
    table = Table(Column("reason", no_wrap=True), *state_too, "records", "oldest", "newest", title=dead_letter_topic)
    for group in groups:
        times = (f"{at:%Y-%m-%d %H:%M:%SZ}" if at else "" for at in (group.oldest, group.newest))
        table.add_row(group.reason, *([group.state] if settled else []), f"{group.count:,}", *times)
    hidden = 0 if settled else sum(letter.settlement is not None for letter in letters)
    if groups:
        answers.print(table)
    else:
        answers.print(f"Nothing is {'open ' if hidden else ''}in {dead_letter_topic}.", markup=False)
    if hidden:
        answers.print(f"{hidden:,} settled: `--all` counts them too.", markup=False)


@app.command("show")
def show(
    partition: Partition = None,
    offset: Offset = None,
    reason: OfReason = None,
    quotes: OfQuotes = False,
    settled: SettledToo = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest.")] = 10,
) -> None:
    """Show letters with key, value, reason and the place that they had; `show 2 1715` is one of them."""
    with plain_errors():
        kafka, _, dead_letter_topic = _open(quotes)
        from stock_assets.pipeline.requeue_policy import DeadLetterFilter, shown

        choice = DeadLetterFilter(reason, partition, offset, settled)
        found = [letter for letter in _letters(kafka, dead_letter_topic, reason) if letter in choice]
    for letter in found[-limit:]:
        answers.print(f"{letter.topic}, partition {letter.partition}, offset {letter.offset}", style="bold")
        for name, text in (
            ("reason", f"{letter.reason}. {letter.error}"),
            ("state", str(letter.settlement or "open")),
            ("key", shown(letter.key)),
            ("value", shown(letter.value)),
        ):
            answers.print(f"  {name:7}{text}", markup=False)
    if not found:
        errors.print("There is no such letter.")
    raise typer.Exit(0 if found else 1)


@app.command("replay")
def replay(
    partition: Partition = None,
    offset: Offset = None,
    reason: OfReason = None,
    quotes: OfQuotes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put records back into the source's topic, byte for byte, where their cause is gone, and settle their letters.

    None is put over a newer message about the same bar; what is skipped is said. The letters themselves stay: a topic
    can't be taken from. One that was dismissed goes back where it is named by its place. A bar that is published in the
    very moment of a replay may come before it: stop the producer.
    """
    with plain_errors():
        kafka, topic, dead_letter_topic = _open(quotes)
        from stock_assets.pipeline.dead_letters import SettlementOutcome
        from stock_assets.pipeline.requeue_policy import (
            BARS,
            QUOTES,
            DeadLetterFilter,
            RequeueDecision,
            requeue_decisions,
        )

        letters, choice = _letters(kafka, dead_letter_topic, reason), DeadLetterFilter(reason, partition, offset)
        chosen = any(letter in choice for letter in letters)
        with errors.status(f"reading {topic}"):
            messages = kafka.messages(topic) if chosen else []
            told = requeue_decisions(letters, choice, messages, datetime.now(UTC), QUOTES if quotes else BARS)
        if not dry_run:
            # In this order: what breaks off in between is seen to be back by the next replay, and settled then.
            send_back(kafka, topic, [letter for letter, fate in told if fate is RequeueDecision.REPLAY])
            settle(
                kafka, dead_letter_topic, [letter for letter, fate in told if fate.settles], SettlementOutcome.REPLAYED
            )
    counts = Counter(fate for _, fate in told)
    if as_json:
        print(json.dumps({fate.name.lower(): counts[fate] for fate in RequeueDecision} | {"dry_run": dry_run}))
        return
    for fate in RequeueDecision:
        answers.print(f"{counts[fate]:,} {fate}", markup=False)
    for letter, fate in told:
        if fate is not RequeueDecision.REPLAY:
            answers.print(f"  {_place(letter)}: {fate}", markup=False)
    if not all(fate.settles for _, fate in told):
        answers.print("`stocks dead-letters dismiss` settles those that are right to stay.", markup=False)


@app.command("dismiss")
def dismiss(
    partition: Partition = None,
    offset: Offset = None,
    reason: OfReason = None,
    note: Annotated[str, typer.Option("--note", help="Why, for those who look later.")] = "",
    quotes: OfQuotes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Settle letters that are right to be refused: `dismiss 2 1715` one of them, `dismiss --reason …` all with it.

    They stay in their topic and in the books, and the check says no more of them.
    """
    with plain_errors():
        if offset is None and (reason is None or partition is not None):
            raise StackError("say which: a partition and an offset, or a --reason", Exit.USAGE)
        kafka, _, dead_letter_topic = _open(quotes)
        from stock_assets.pipeline.dead_letters import SettlementOutcome
        from stock_assets.pipeline.requeue_policy import DeadLetterFilter

        choice = DeadLetterFilter(reason, partition, offset)
        found = [letter for letter in _letters(kafka, dead_letter_topic, reason) if letter in choice]
        if not dry_run:
            settle(kafka, dead_letter_topic, found, SettlementOutcome.DISMISSED, note)
    if as_json:
        print(json.dumps({"dismissed": len(found), "dry_run": dry_run}))
    elif found:
        for letter in found:
            answers.print(f"  {_place(letter)}", markup=False)
        answers.print(f"{len(found):,} {'would be' if dry_run else 'are'} dismissed.", markup=False)
    else:
        errors.print("There is no such letter that is open.")
    raise typer.Exit(0 if found else 1)


def _open(quotes: bool) -> "tuple[KafkaResource, str, str]":
    """Kafka, the topic and its dead-letter topic."""
    home = RunningStackSettings().stocks_home
    if not state.is_up(home):
        raise StackError(f"nothing runs for {home}: start it with `stocks up`, and ask again", Exit.FAILED)
    # Dagster's resources take two seconds to import: not for `stocks --help`.
    from stock_assets.resources.kafka import KafkaResource
    from stock_assets.settings import code_location

    settings = code_location()
    names, kafka = settings.names, KafkaResource.from_settings(settings)
    if quotes:
        return kafka, names.quote_topic, names.quote_dead_letter_topic
    return kafka, names.topic, names.dead_letter_topic


def _letters(kafka: "KafkaResource", dead_letter_topic: str, reason: str | None = None) -> "list[DeadLetter]":
    """All letters, settled or not; complains of a reason that is none."""
    from stock_assets.pipeline.dead_letters import dead_letters_in
    from stock_assets.pipeline.requeue_policy import known_reason

    try:
        known_reason(reason)
    except ValueError as error:
        raise StackError(str(error), Exit.USAGE) from None
    return dead_letters_in(kafka.messages(dead_letter_topic))


def _place(letter: "DeadLetter") -> str:
    return f"partition {letter.partition}, offset {letter.offset}, {letter.reason}"


def send_back(kafka: "KafkaResource", topic: str, letters: "Iterable[DeadLetter]") -> None:
    """Publish the letters to the source's topic, and wait until Kafka has them."""
    # Into the partition that it had: offsets of two partitions don't compare.
    _publish(kafka, topic, [{"key": one.key, "value": one.value, "partition": one.partition} for one in letters])


def settle(
    kafka: "KafkaResource",
    dead_letter_topic: str,
    letters: "Iterable[DeadLetter]",
    outcome: "SettlementOutcome",
    note: str = "",
) -> None:
    """Publish a settlement of each letter to the dead-letter topic, and wait until Kafka has them."""
    from stock_assets.pipeline.dead_letters import settlement_headers

    # Behind the letter, in its partition: retention then never takes the settlement first. An empty value, not none:
    # the client refuses a record that has neither key nor value.
    records = [
        {"value": b"", "partition": one.kept_in, "headers": settlement_headers(one, outcome, note)} for one in letters
    ]
    _publish(kafka, dead_letter_topic, records)


def _publish(kafka: "KafkaResource", topic: str, records: Sequence[Mapping[str, object]]) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers.split(","), acks="all")
    try:
        sent = [producer.send(topic, **record) for record in records]
        for acknowledgement in sent:
            acknowledgement.get(timeout=60)
    finally:
        producer.close()
