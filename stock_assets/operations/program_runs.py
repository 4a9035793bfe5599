"""How a run starts one of the two long-lived programs and waits for its end."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from spark_streaming.contract.heartbeat import ProgramState, read_heartbeat
from spark_streaming.contract.process_lock import EXIT_LOCKED
from stock_assets.dagster_internals import allow_unreported_assets
from stock_assets.operations.program_environment import program_environment
from stock_assets.resources.program_client import ProgramClient, ProgramFailedError

ALREADY_RUNNING_TAG = "stocks/sent_away"  # of a run that ended because another process held the lock


def run_program(
    context: dg.AssetExecutionContext, pipes: ProgramClient, module: str, settings: Mapping[str, str], state: Path
) -> Sequence[dg.PipesExecutionResult]:
    """Run `python -m module` as this process's child, and return its reports, which become the materializations.

    The child ends with this process, whose id it gets as PARENT_PID.

    Args:
        context: of the assets that it makes.
        pipes: starts it.
        module: the program.
        settings: all of its settings, by their names in the environment.
        state: the folder of its heartbeat, which has the reason where the program has failed.

    Raises:
        dagster.Failure: it was killed, ended with another exit code than 0, or reported no totals.
    """
    try:
        results = run_subprocess(context.op_execution_context, pipes, module, settings)
    except ProgramFailedError as error:
        if error.code == EXIT_LOCKED:
            context.instance.add_run_tags(context.run.run_id, {ALREADY_RUNNING_TAG: "true"})
            raise dg.Failure(
                f"{module} was not needed: another process is at work, and holds {state / 'lock'}"
            ) from error
        raise dg.Failure(f"{module} {_how_it_ended(error.code, state, context.run.run_id)}") from error
    reported = {result.asset_key for result in results if isinstance(result, dg.MaterializeResult)}
    missing = [
        spec.key.to_user_string()
        for spec in context.assets_def.specs
        if not spec.skippable and spec.key in context.selected_asset_keys - reported
    ]
    if missing:
        raise dg.Failure(f"{module} has ended without reporting {', '.join(missing)}.")
    allow_unreported_assets(context.op_execution_context)  # a replay has no quotes
    return results


def run_subprocess(
    context: dg.OpExecutionContext, pipes: ProgramClient, module: str, settings: Mapping[str, str], *arguments: str
) -> Sequence[dg.PipesExecutionResult]:
    """Run `python -m module` in a run that materializes no asset, and return its reports for the caller to log.

    Raises:
        ProgramFailedError: it has ended with another exit code than 0.
    """
    environment = program_environment(os.environ, {**settings, "PARENT_PID": str(os.getpid())})
    command = [sys.executable, "-m", module, *arguments]
    return pipes.run(context=context, command=command, env=environment).get_results(implicit_materializations=False)


def _how_it_ended(code: int, state: Path, run_id: str) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    heartbeat = read_heartbeat(state)
    if heartbeat is None or heartbeat.run_id != run_id or heartbeat.state is not ProgramState.FAILED:
        return f"ended with exit code {code}; its log has the reason"
    return f"ended with exit code {code}: {heartbeat.detail}"
