"""Secrets of resources, which Dagster's UI must not show."""

from types import new_class
from typing import TypeVar, cast

import dagster as dg

T = TypeVar("T", bound=dg.ConfigurableResource)


def with_secrets(kind: type[T], **secrets: object) -> type[T]:
    """Return the resource class `kind` with these secrets, which are its class variables.

    Dagster shows the public fields of a resource, and makes a new instance of its class from them for each run: a
    private attribute of the instance would be gone.
    """
    own = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return cast(type[T], new_class(kind.__name__, (kind,), exec_body=lambda names: names.update(own | secrets)))
