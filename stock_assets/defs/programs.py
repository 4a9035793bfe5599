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
    """
    return run_beside(context.op_execution_context, pipes, module, environment)


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
