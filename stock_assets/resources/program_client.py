"""Starts a program as a child of a Dagster run, with a separate environment."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg


class ProgramFailedError(RuntimeError):
    """A program has ended with `code`, which is not 0; below 0 it is the number of the signal that killed it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the program has ended with exit code {code}")
        self.code = code


class ProgramClient(dg.PipesSubprocessClient):
    """Dagster's client, which hands its whole environment on: this one hands on `env` alone, and what Pipes adds."""

    def run(  # type: ignore[override]  # narrower than PipesClient's, as that of Dagster's own class
        self,
        *,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        extras: Mapping[str, Any] | None = None,
        command: str | Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> dg.PipesClientCompletedInvocation:
        """Start `command`, wait for its end, and return what it has reported.

        Raises:
            ProgramFailedError: it has ended with another exit code than 0.
        """
        with dg.open_pipes_session(
            context=context, context_injector=self.context_injector, message_reader=self.message_reader, extras=extras
        ) as session:
            environment = {**self.env, **(env or {}), **session.get_bootstrap_env_vars()}
            process = subprocess.Popen(command, cwd=cwd or self.cwd, env=environment)
            try:
                code = process.wait()
            except BaseException:  # the run is being ended: the program finishes its batch first
                process.send_signal(signal.SIGINT)
                process.wait(self.termination_timeout_seconds)
                raise
            if code != 0:
                raise ProgramFailedError(code)
        return dg.PipesClientCompletedInvocation(session)
