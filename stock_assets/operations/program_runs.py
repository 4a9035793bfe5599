"""How a run starts one of the two long-lived programs and waits for its end."""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError

from spark_streaming.contract.heartbeat import ProgramState, read_heartbeat
from spark_streaming.contract.process_lock import EXIT_LOCKED

SENT_AWAY = "stocks/sent_away"  # tag of a run that has failed for no fault of its program's


def run_program(
    context: dg.AssetExecutionContext,
    pipes: dg.PipesSubprocessClient,
    module: str,
    environment: Mapping[str, str],
    state: Path,
) -> Sequence[dg.PipesExecutionResult]:
    """Run `python -m module` as this process's child; its own reports become the materializations.

    The child ends with this process: PARENT_PID tells it whom to watch.

    Args:
        context: of the asset that it makes.
        pipes: starts it.
        module: the program.
        environment: all of its settings.
        state: the folder of its heartbeat, in which it says why it has failed.

    Raises:
        dagster.Failure: it was killed, ended with another exit code than 0, or has not told its totals.
    """
    try:
        results = run_subprocess(context.op_execution_context, pipes, module, environment)
    except DagsterPipesExecutionError as error:
        code = int(found.group()) if (found := re.search(r"-?\d+$", str(error))) else 1
        if code == EXIT_LOCKED:
            context.instance.add_run_tags(context.run.run_id, {SENT_AWAY: "true"})
            raise dg.Failure(f"{module} was not needed: another one is at work, and holds {state / 'lock'}") from error
        raise dg.Failure(f"{module} {_how_it_ended(code, state, context.run.run_id)}") from error
    reported = {result.asset_key for result in results if isinstance(result, dg.MaterializeResult)}
    silent = [
        spec.key.to_user_string()
        for spec in context.assets_def.specs
        if not spec.skippable and spec.key in context.selected_asset_keys - reported
    ]
    if silent:
        raise dg.Failure(f"{module} has ended without a word about {', '.join(silent)}.")
    # Pipes demands a report about every asset of the step, also about one that is skippable: a replay has no quotes.
    context.op_execution_context.get_step_execution_context()._requires_typed_event_stream = False
    return results


def run_subprocess(
    context: dg.OpExecutionContext,
    pipes: dg.PipesSubprocessClient,
    module: str,
    environment: Mapping[str, str],
    *arguments: str,
) -> Sequence[dg.PipesExecutionResult]:
    """The same in a run that materializes no asset: what the program has reported is for the caller to tell."""
    return pipes.run(
        context=context,
        command=[sys.executable, "-m", module, *arguments],
        env={**environment, "PARENT_PID": str(os.getpid())},
    ).get_results(implicit_materializations=False)


def _how_it_ended(code: int, state: Path, run_id: str) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    heartbeat = read_heartbeat(state)
    said = heartbeat is not None and heartbeat.run_id == run_id and heartbeat.state is ProgramState.FAILED
    why = f": {heartbeat.detail}" if heartbeat and said else "; its log says why"
    return f"ended with exit code {code}{why}"
