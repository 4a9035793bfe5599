"""A Dagster instance configured as in the stack, on the PostgreSQL of the test run."""

from collections.abc import Iterator

import dagster as dg
import pytest

from infra.servers import dagster
from infra.settings import StackSettings


@pytest.fixture(scope="session")
def instance_of_the_run(postgres_server: StackSettings) -> Iterator[dg.DagsterInstance]:
    dagster.prepare(postgres_server)
    with dg.DagsterInstance.from_config(str(dagster.folder(postgres_server))) as made:
        yield made


@pytest.fixture
def instance(instance_of_the_run: dg.DagsterInstance) -> dg.DagsterInstance:
    """An empty instance."""
    instance_of_the_run.wipe()
    instance_of_the_run.wipe_all_schedules()
    return instance_of_the_run
