"""`python -m spark_streaming [--available-now]`: streams bars from Kafka into InfluxDB until it is requested to end.

Exit codes: 0 after a request (SIGINT, SIGTERM, a drain request, nothing left with --available-now), 75 when another
process uses the same STREAM_STATE, 78 when the settings are invalid, else 1 with the reason on standard error.
"""

import argparse
import logging
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pydantic import ValidationError

from spark_streaming.contract.process_lock import EXIT_LOCKED, AlreadyRunningError
from spark_streaming.runtime.program import run
from spark_streaming.runtime.supervision import StreamFailedError
from spark_streaming.settings import StreamSettings

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

log = logging.getLogger("spark_streaming")

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m spark_streaming", description="Bars from Kafka into InfluxDB.")
    parser.add_argument("--available-now", action="store_true", help="end once all that Kafka has now is stored")
    available_now: bool = parser.parse_args(arguments).available_now
    _log_to_stderr()
    try:
        settings = StreamSettings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            log.error("%s: %s", ".".join(map(str, problem["loc"])).upper(), problem["msg"])
        return EXIT_CONFIG
    try:
        with _pipes() as pipes:
            run(settings, available_now, pipes)
    except AlreadyRunningError as error:
        log.error("%s", error)
        return EXIT_LOCKED
    except Exception as error:
        log.error("The stream has failed: %s", error, exc_info=not isinstance(error, StreamFailedError))
        return 1
    return 0


def _pipes() -> AbstractContextManager["PipesContext | None"]:
    if "DAGSTER_PIPES_CONTEXT" not in os.environ:  # started by hand
        return nullcontext()
    from dagster_pipes import open_dagster_pipes

    return open_dagster_pipes()


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ"))
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    log.setLevel(logging.INFO)
    logging.getLogger("kafka").setLevel(logging.ERROR)  # the program logs a lost connection itself
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # it logs each error that it also raises


if __name__ == "__main__":
    sys.exit(main())
