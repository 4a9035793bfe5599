"""`stocks dead-letters`: list rejected messages, requeue those whose cause is fixed, dismiss others."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from infra.cli.console import answers, errors, plain_errors, print_fitted
from infra.host.errors import Exit, StackError
from infra.settings import RunningStackSettings
from infra.stack import state

if TYPE_CHECKING:
    from stock_assets.pipeline.dead_letters import DeadLetter, SettlementOutcome
    from stock_assets.resources.kafka import KafkaResource

app = typer.Typer(
    name="dead-letters",
    help="Messages that could not be stored: list, show, requeue, dismiss.",
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
OfQuotes = Annotated[bool, typer.Option("--quotes", help="The quotes' topic instead of the bars'.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only those with this reason.")]
SettledToo = Annotated[bool, typer.Option("--all", help="Also those that are settled: requeued or dismissed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
Partition = Annotated[int | None, typer.Argument(help="The record's partition in the source's topic.")]
Offset = Annotated[int | None, typer.Argument(help="The record's offset there.")]

# Keys of the JSON that a requeue prints; scripts read them.
_JSON_KEYS = {"REQUEUE": "replay", "ALREADY_REQUEUED": "back", "SUPERSEDED": "newer", "STILL_INVALID": "still"}


@app.command("list")
def list_dead_letters(quotes: OfQuotes = False, settled: SettledToo = False, as_json: Json = False) -> None:
    """Count the open dead letters of each reason. A record counts once, however often it was dead-lettered."""
    with plain_errors():
        kafka, _, dead_letter_topic = _open(quotes)
        from stock_assets.pipeline.requeue_policy import DeadLetterFilter, group_dead_letters

        dead_letters, choice = _dead_letters(kafka, dead_letter_topic), DeadLetterFilter(settled=settled)
        groups = group_dead_letters(dead_letter for dead_letter in dead_letters if dead_letter in choice)
    if as_json:
        print(json.dumps([vars(group) for group in groups], default=datetime.isoformat))
        return
    rows = []
    for group in groups:
        times = (f"{at:%Y-%m-%d %H:%M:%SZ}" if at else "" for at in (group.oldest, group.newest))
        rows.append([group.reason, *([group.state] if settled else []), f"{group.count:,}", *times])
    hidden = 0 if settled else sum(dead_letter.settlement is not None for dead_letter in dead_letters)
    if groups:
        names = ["reason", *(["state"] if settled else []), "records", "oldest", "newest"]
        print_fitted([Column(name, no_wrap=True) for name in names], rows, ("oldest",), title=dead_letter_topic)
    else:
        answers.print(f"There are no {'open ' if hidden else ''}dead letters in {dead_letter_topic}.", markup=False)
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
    """Show dead letters with topic, partition, offset, key, value and reason; `show 2 1715` shows one of them."""
    with plain_errors():
        kafka, _, dead_letter_topic = _open(quotes)
        from stock_assets.pipeline.requeue_policy import DeadLetterFilter, shown

        choice = DeadLetterFilter(reason, partition, offset, settled)
        found = [one for one in _dead_letters(kafka, dead_letter_topic, reason) if one in choice]
    for one in found[-limit:]:
        answers.print(f"{one.topic}, partition {one.partition}, offset {one.offset}", style="bold")
        for name, text in (
            ("reason", f"{one.reason}. {one.error}"),
            ("state", str(one.settlement or "open")),
            ("key", shown(one.key)),
            ("value", shown(one.value)),
        ):
            answers.print(f"  {name:7}{text}", markup=False)
    if not found:
        errors.print("There is no such dead letter.")
    raise typer.Exit(0 if found else 1)


@app.command("replay", hidden=True)  # its former name
@app.command("requeue")
def requeue(
    partition: Partition = None,
    offset: Offset = None,
    reason: OfReason = None,
    quotes: OfQuotes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send records to the source's topic again, byte for byte, where their cause is fixed, and settle the dead letters.

    A record never replaces a newer message about the same bar; what is skipped is listed. The dead letters stay in
    their topic. A dismissed one is requeued only if partition and offset name it. A bar that the producer publishes
    during a requeue may be replaced by an older one: stop the producer first.
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

        dead_letters = _dead_letters(kafka, dead_letter_topic, reason)
        choice = DeadLetterFilter(reason, partition, offset)
        with errors.status(f"reading {topic}"):
            messages = kafka.messages(topic) if any(one in choice for one in dead_letters) else []
            decided = requeue_decisions(dead_letters, choice, messages, datetime.now(UTC), QUOTES if quotes else BARS)
        if not dry_run:
            # In this order: after an interruption in between, the next requeue finds the record and settles it then.
            send_back(kafka, topic, [one for one, decision in decided if decision is RequeueDecision.REQUEUE])
            settled = [one for one, decision in decided if decision.settles]
            settle(kafka, dead_letter_topic, settled, SettlementOutcome.REPLAYED)
    counts = Counter(decision for _, decision in decided)
    if as_json:
        print(json.dumps({_JSON_KEYS[one.name]: counts[one] for one in RequeueDecision} | {"dry_run": dry_run}))
        return
    for decision in RequeueDecision:
        answers.print(f"{counts[decision]:,} {decision}", markup=False)
    for one, decision in decided:
        if decision is not RequeueDecision.REQUEUE:
            answers.print(f"  {_place(one)}: {decision}", markup=False)
    if not all(decision.settles for _, decision in decided):
        answers.print("`stocks dead-letters dismiss` settles those that were rejected for a good reason.", markup=False)


@app.command("dismiss")
def dismiss(
    partition: Partition = None,
    offset: Offset = None,
    reason: OfReason = None,
    note: Annotated[str, typer.Option("--note", help="The reason, for later readers.")] = "",
    quotes: OfQuotes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Settle dead letters that need no action: `dismiss 2 1715` settles one, `dismiss --reason …` all with it.

    They stay in their topic and in the accounting; the check no longer reports them.
    """
    with plain_errors():
        if offset is None and (reason is None or partition is not None):
            raise StackError("name a partition and an offset, or a --reason", Exit.USAGE)
        kafka, _, dead_letter_topic = _open(quotes)
        from stock_assets.pipeline.dead_letters import SettlementOutcome
        from stock_assets.pipeline.requeue_policy import DeadLetterFilter

        choice = DeadLetterFilter(reason, partition, offset)
        found = [one for one in _dead_letters(kafka, dead_letter_topic, reason) if one in choice]
        if not dry_run:
            settle(kafka, dead_letter_topic, found, SettlementOutcome.DISMISSED, note)
    if as_json:
        print(json.dumps({"dismissed": len(found), "dry_run": dry_run}))
    elif found:
        for one in found:
            answers.print(f"  {_place(one)}", markup=False)
        answers.print(f"{len(found):,} {'would be' if dry_run else 'are'} dismissed.", markup=False)
    else:
        errors.print("There is no such open dead letter.")
    raise typer.Exit(0 if found else 1)


def _open(quotes: bool) -> "tuple[KafkaResource, str, str]":
    """Kafka, the topic and its dead-letter topic."""
    home = RunningStackSettings().stocks_home
    if not state.is_up(home):
        raise StackError(f"nothing runs for {home}: start it with `stocks up`, and try again", Exit.FAILED)
    # Dagster's resources take two seconds to import: not for `stocks --help`.
    from stock_assets.resources.kafka import KafkaResource
    from stock_assets.settings import code_location

    settings = code_location()
    names, kafka = settings.names, KafkaResource.from_settings(settings)
    if quotes:
        return kafka, names.quote_topic, names.quote_dead_letter_topic
    return kafka, names.topic, names.dead_letter_topic


def _dead_letters(kafka: "KafkaResource", dead_letter_topic: str, reason: str | None = None) -> "list[DeadLetter]":
    """All dead letters, settled or not; a StackError where `reason` is the name of no reason."""
    from stock_assets.pipeline.dead_letters import dead_letters_in
    from stock_assets.pipeline.requeue_policy import known_reason

    try:
        known_reason(reason)
    except ValueError as error:
        raise StackError(str(error), Exit.USAGE) from None
    return dead_letters_in(kafka.messages(dead_letter_topic))


def _place(one: "DeadLetter") -> str:
    return f"partition {one.partition}, offset {one.offset}, {one.reason}"


def send_back(kafka: "KafkaResource", topic: str, dead_letters: "Iterable[DeadLetter]") -> None:
    """Publish the records to the source's topic, and wait until Kafka has them."""
    # To the former partition: offsets of two partitions don't compare.
    _publish(kafka, topic, [{"key": one.key, "value": one.value, "partition": one.partition} for one in dead_letters])


def settle(
    kafka: "KafkaResource",
    dead_letter_topic: str,
    dead_letters: "Iterable[DeadLetter]",
    outcome: "SettlementOutcome",
    note: str = "",
) -> None:
    """Publish a settlement of each dead letter to the dead-letter topic, and wait until Kafka has them."""
    from stock_assets.pipeline.dead_letters import settlement_headers

    # In the dead letter's partition, so that retention never deletes the settlement first. An empty value instead of
    # none: the client rejects a record with neither key nor value.
    records = [
        {"value": b"", "partition": one.kept_in, "headers": settlement_headers(one, outcome, note)}
        for one in dead_letters
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
