"""Arguments of tools: dates as text, checked, with an error that names the argument."""

from datetime import date

from market_pipeline.api.generated.query_params import create_value_parser
from market_pipeline.assistants.results import ToolProblem


def parse_day(name: str, text: str) -> date:
    """Return the date of an argument.

    Raises:
        ToolProblem: it is no date in the form YYYY-MM-DD.
    """
    try:
        return date.fromisoformat(create_value_parser("date")(text))
    except ValueError:
        raise ToolProblem(f"{name}: {text!r} is no date: use YYYY-MM-DD") from None


def check_text(name: str, text: str) -> None:
    """Check that an argument has no null character, which PostgreSQL can't be sent.

    Raises:
        ToolProblem: it has one.
    """
    if "\0" in text:
        raise ToolProblem(f"{name}: it has a null character: remove it")
