"""How a run starts one of the two long-lived programs and waits for its end."""

import os
import sys
from collections.abc import Mapping, Sequence

import dagster as dg


def run_program(
    context: dg.AssetExecutionContext,
    pipes: dg.PipesSubprocessClient,
    module: str,
    environment: Mapping[str, str],
) -> Sequence[dg.PipesExecutionResult]:
    """Run `python -m module` as this process's child; its own reports become the materializations.

    The child ends with this process: PARENT_PID tells it whom to watch.

    Raises:
        dagster_pipes' DagsterPipesExecutionError: it ended with another exit code than 0.
        Failure: it has ended well, and has not told its totals.
    """
    results = run_beside(context.op_execution_context, pipes, module, environment)
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


def run_beside(
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
