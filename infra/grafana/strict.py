"""Common types of the models of Grafana's files."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1)]
Uid = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_$-]{1,40}$")]  # Grafana's limit; `$` of a variable
Duration = Annotated[str, StringConstraints(pattern=r"^\d+[smhd]$")]
RefId = Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]


class Strict(BaseModel):
    """A model that rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
