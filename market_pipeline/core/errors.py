"""The root of the project's own errors.

Every error that a user can meet is a type of its own, beside the code that raises it, with a message that says what
happened and the next step. The edges (command line, API, asset) catch them.
"""


class MarketPipelineError(Exception):
    """An error that a user can act on. Its message is one line, names the next step and holds no secret."""


class UsageError(MarketPipelineError):
    """A request that is at fault itself: the command line exits with code 2, the API responds with a 4xx."""


def describe_defect(error: Exception) -> str:
    """Describe an unexpected error in a run, a defect of ours, with the next step."""
    return f"a defect of Market Pipeline ({type(error).__name__}): report it with the log of the run"
