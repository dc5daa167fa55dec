"""The base class of settings records: unknown keys are errors, records are frozen."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of the configuration: unknown keys are errors, values cannot be changed after reading."""

    # the text below a setting is its description: in the schema, and in docs/configuration.md
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
