"""The root of the project's own errors.

Every error a user can meet is a type of its own, beside the code that raises it, whose message says what happened and
what to do next. They are caught at the edges (command line, API, asset), never in the middle.
"""


class MarketPipelineError(Exception):
    """Something a user can act on. The message is shown as it is: one line, naming the next step, holding no secret."""


class UsageError(MarketPipelineError):
    """The request itself is at fault: the command line answers with exit code 2, the API with a 4xx."""
