"""Results of tools: rows as lists under one list of columns, which is a third of the text of objects."""

from typing import Any

from pydantic import BaseModel, Field


class ToolProblem(Exception):  # noqa: N818 - as the API's ProblemError, a message for the client
    """A rejected call of a tool: the reason and the next step."""


class Rows(BaseModel):
    """Rows of a result. A row's values are in the order of `columns`."""

    columns: list[str] = Field(description="Names of the columns.")
    rows: list[list[Any]] = Field(description="A list of values a row; null where a value is not known.")
    count: int = Field(description="Number of these rows.")
    truncated: bool = Field(description="True if there are more rows than these.")
    note: str | None = Field(None, description="What limits the result, and the next step.")
